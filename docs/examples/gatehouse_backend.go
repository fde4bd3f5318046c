// A backend that admits editors of Gatehouse: by Remote-Token behind forward auth, by access token
// and by API key. It needs the standard library only.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	keptFor, refusedFor = 5 * time.Second, time.Second // how long an answer is used again
	maxKept             = 1000
	freshFor            = 5 * time.Minute  // keys are published a day before they sign
	retryAfter          = 30 * time.Second // unknown key ids cause no flood of requests
	staleFor            = time.Hour        // known keys are used while Gatehouse does not answer
	maxToken            = 8192
	maxAnswer           = 256 * 1024
)

var (
	errRefused     = errors.New("the credential lets nobody in")
	errUnavailable = errors.New("the credential could not be checked")
	roles          = map[string]int{"viewer": 1, "editor": 2, "admin": 3, "owner": 4}
	algorithms     = map[string]bool{"ES256": true, "RS256": true}
	base64URL      = base64.RawURLEncoding.Strict()
)

// Claims is what Gatehouse says about a user. Sub is the key of your data.
type Claims struct {
	Active    bool            `json:"active"`
	TokenType string          `json:"token_type"`
	Sub       string          `json:"sub"`
	Role      string          `json:"role"`
	Groups    []string        `json:"groups"`
	Scope     string          `json:"scope"`
	Iss       string          `json:"iss"`
	Aud       json.RawMessage `json:"aud"`
	Exp       int64           `json:"exp"`
}

type kept struct {
	claims *Claims
	until  time.Time
}

// Gate verifies credentials of one Gatehouse. Safe for use by several goroutines.
type Gate struct {
	Issuer, ClientID, ClientSecret string
	http                           *http.Client
	answersLock, keysLock          sync.Mutex
	answers                        map[[32]byte]kept
	keys                           map[string]crypto.PublicKey
	fetchedAt, triedAt             time.Time
}

// NewGate makes a Gate. The issuer is PUBLIC_URL of Gatehouse, exactly.
func NewGate(issuer, clientID, clientSecret string) *Gate {
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Gate{
		Issuer: issuer, ClientID: clientID, ClientSecret: clientSecret,
		http:    &http.Client{Timeout: 5 * time.Second, CheckRedirect: noRedirect},
		answers: map[[32]byte]kept{},
	}
}

// Ask asks Gatehouse whose credential it is (RFC 7662). It returns errRefused or errUnavailable.
func (gate *Gate) Ask(credential string) (*Claims, error) {
	if credential == "" || len(credential) > maxToken {
		return nil, errRefused
	}
	digest := sha256.Sum256([]byte(credential)) // no credential is kept
	gate.answersLock.Lock()
	known, isKnown := gate.answers[digest]
	gate.answersLock.Unlock()
	if !isKnown || !time.Now().Before(known.until) {
		claims := &Claims{}
		form := url.Values{"token": {credential}}.Encode()
		if err := gate.fetch("POST", "/api/v1/introspect", form, claims); err != nil {
			return nil, err
		}
		known = gate.keep(digest, claims)
	}
	if !known.claims.Active {
		return nil, errRefused
	}
	return known.claims, nil
}

func (gate *Gate) keep(digest [32]byte, claims *Claims) kept {
	answer := kept{claims, time.Now().Add(refusedFor)}
	if claims.Active {
		answer.until = time.Now().Add(keptFor)
		if end := time.Unix(claims.Exp, 0); claims.Exp != 0 && end.Before(answer.until) {
			answer.until = end
		}
	}
	gate.answersLock.Lock()
	defer gate.answersLock.Unlock()
	if len(gate.answers) >= maxKept {
		gate.answers = map[[32]byte]kept{}
	}
	gate.answers[digest] = answer
	return answer
}

func (gate *Gate) fetch(method, path, form string, into any) error {
	request, err := http.NewRequest(method, gate.Issuer+path, strings.NewReader(form))
	if err != nil {
		return errUnavailable
	}
	if method == "POST" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth(url.QueryEscape(gate.ClientID), url.QueryEscape(gate.ClientSecret))
	}
	answer, err := gate.http.Do(request)
	if err != nil {
		return errUnavailable
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil || answer.StatusCode != 200 || json.Unmarshal(body, into) != nil {
		return errUnavailable
	}
	return nil
}

// Verify verifies a JWT offline. The kind is at+jwt for access tokens, whose audience is the issuer
// unless JWT_AUDIENCE is set, and fa+jwt for Remote-Token, whose audience is the app.
func (gate *Gate) Verify(token, kind, audience string) (*Claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > maxToken {
		return nil, errRefused
	}
	var header map[string]string // a header with anything but texts is none of ours
	if decode(parts[0], &header) != nil || header["typ"] != kind || !algorithms[header["alg"]] {
		return nil, errRefused
	}
	if len(header) != 3 || header["kid"] == "" { // alg, kid and typ; no jku, jwk or crit
		return nil, errRefused
	}
	key, err := gate.key(header["alg"], header["kid"])
	if err != nil {
		return nil, err
	}
	signature, err := base64URL.DecodeString(parts[2])
	if err != nil || !isSigned(parts[0]+"."+parts[1], signature, key) {
		return nil, errRefused
	}
	claims := &Claims{}
	if decode(parts[1], claims) != nil || claims.Iss != gate.Issuer || claims.Sub == "" {
		return nil, errRefused
	}
	if !isFor(claims.Aud, audience) || time.Now().Unix() >= claims.Exp {
		return nil, errRefused
	}
	return claims, nil
}

func decode(part string, into any) error {
	text, err := base64URL.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func isFor(audiences json.RawMessage, wanted string) bool {
	var one string
	if json.Unmarshal(audiences, &one) == nil {
		return one == wanted && wanted != ""
	}
	var several []string
	if json.Unmarshal(audiences, &several) != nil {
		return false
	}
	for _, each := range several {
		if each == wanted && wanted != "" {
			return true
		}
	}
	return false
}

// The type of the key, not the header, decides how a signature is verified.
func isSigned(text string, signature []byte, key crypto.PublicKey) bool {
	digest := sha256.Sum256([]byte(text))
	switch public := key.(type) {
	case *ecdsa.PublicKey:
		r, s := new(big.Int), new(big.Int)
		return len(signature) == 64 &&
			ecdsa.Verify(public, digest[:], r.SetBytes(signature[:32]), s.SetBytes(signature[32:]))
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	}
	return false
}

// The key, from the kept set or a new one. Known keys work on while Gatehouse does not answer.
func (gate *Gate) key(algorithm, kid string) (crypto.PublicKey, error) {
	gate.keysLock.Lock()
	defer gate.keysLock.Unlock()
	name, now := algorithm+" "+kid, time.Now()
	isOld := now.Sub(gate.fetchedAt) >= freshFor || gate.keys[name] == nil
	if isOld && now.Sub(gate.triedAt) >= retryAfter {
		gate.triedAt = now
		var set struct{ Keys []map[string]any }
		if gate.fetch("GET", "/.well-known/jwks.json", "", &set) == nil {
			gate.keys, gate.fetchedAt = publicKeys(set.Keys), now
		} else if now.Sub(gate.fetchedAt) > staleFor {
			gate.triedAt = time.Time{} // there is nothing to use meanwhile
		}
	}
	if time.Since(gate.fetchedAt) > staleFor {
		return nil, errUnavailable
	}
	if key := gate.keys[name]; key != nil {
		return key, nil
	}
	return nil, errRefused
}

// The keys by algorithm and id. Those of kinds that are not known here are left out.
func publicKeys(listed []map[string]any) map[string]crypto.PublicKey {
	found := map[string]crypto.PublicKey{}
	for _, each := range listed {
		text := func(name string) string { value, _ := each[name].(string); return value }
		number := func(name string) *big.Int {
			decoded, _ := base64URL.DecodeString(text(name))
			return new(big.Int).SetBytes(decoded)
		}
		name := text("alg") + " " + text("kid")
		switch {
		case text("use") != "sig":
		case text("kty") == "EC" && text("crv") == "P-256" && text("alg") == "ES256":
			key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: number("x"), Y: number("y")}
			if key.Curve.IsOnCurve(key.X, key.Y) {
				found[name] = key
			}
		case text("kty") == "RSA" && text("alg") == "RS256":
			n, e := number("n"), number("e")
			if n.BitLen() >= 2048 && e.IsInt64() && e.Int64() <= 1<<31-1 {
				found[name] = &rsa.PublicKey{N: n, E: int(e.Int64())}
			}
		}
	}
	return found
}

// User finds out who sends a request. What is there and wrong is refused, never ignored.
func (gate *Gate) User(request *http.Request) (*Claims, error) {
	appURL := os.Getenv("APP_URL") // https://app.example.com, if forward auth stands before it
	if sent := request.Header.Values("Remote-Token"); appURL != "" && len(sent) > 0 {
		if len(sent) > 1 {
			return nil, errRefused
		}
		return gate.Verify(sent[0], "fa+jwt", appURL)
	}
	sent := append(request.Header.Values("X-API-Key"), request.Header.Values("Authorization")...)
	if len(sent) != 1 {
		return nil, errRefused
	}
	credential := sent[0]
	if request.Header.Get("Authorization") != "" {
		scheme, rest, _ := strings.Cut(credential, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, errRefused
		}
		credential = rest
	}
	// Offline, a ban counts when the token expires. Asking, it counts after five seconds at most.
	if os.Getenv("GATEHOUSE_OFFLINE") == "1" && !strings.HasPrefix(credential, "gth_") {
		return gate.Verify(credential, "at+jwt", gate.Issuer)
	}
	claims, err := gate.Ask(credential)
	if err == nil && claims.TokenType != "api_key" && claims.TokenType != "access_token" {
		return nil, errRefused // a refresh token, or the cookie of a session
	}
	return claims, err
}

func main() {
	gate := NewGate(
		os.Getenv("GATEHOUSE_URL"),
		os.Getenv("GATEHOUSE_CLIENT_ID"),
		os.Getenv("GATEHOUSE_CLIENT_SECRET"),
	)
	http.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		user, err := gate.User(request)
		switch {
		case errors.Is(err, errUnavailable): // not 401, so that clients keep their credential
			response.WriteHeader(http.StatusServiceUnavailable)
		case err != nil:
			response.Header().Set("WWW-Authenticate", "Bearer")
			response.WriteHeader(http.StatusUnauthorized)
		case roles[user.Role] < roles["editor"]:
			response.WriteHeader(http.StatusForbidden)
		default:
			response.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(response).Encode(map[string]string{"id": user.Sub, "role": user.Role})
		}
	})
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), ReadHeaderTimeout: 5 * time.Second}
	fmt.Println(server.ListenAndServe())
	os.Exit(1)
}
