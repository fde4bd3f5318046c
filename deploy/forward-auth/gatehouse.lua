-- Asks Gatehouse whether a request may pass; see haproxy.cfg.
-- http-request lua.gatehouse rules: applies the rules; a role instead of "rules" is required too.

local GATEHOUSE = os.getenv("GATEHOUSE") or "http://127.0.0.1:8000"
local MILLISECONDS = 5000
-- Headers of the check. The body is not read.
local TOLD = { "cookie", "authorization", "x-api-key", "accept", "accept-language", "user-agent",
    "sec-fetch-mode", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host" }
-- Every response contains all of them, so that none of the client's remains.
local IDENTITY = { "remote-user", "remote-email", "remote-name", "remote-groups", "remote-id",
    "remote-token" }
-- Headers of a denial for the client.
local ANSWERED = { "location", "content-type", "cache-control", "www-authenticate", "retry-after",
    "content-security-policy", "content-language", "vary", "x-gatehouse-reference",
    "x-gatehouse-seen",
    "x-content-type-options", "x-frame-options", "referrer-policy" }

local function question(txn)
    local given = txn.http:req_get_headers()
    local headers = {}
    for _, name in ipairs(TOLD) do
        if given[name] then
            headers[name] = {}
            for place = 0, #given[name] do
                table.insert(headers[name], given[name][place])
            end
        end
    end
    -- The test of an app in the admin panel asks which headers are left here. Nothing else reads it.
    if given["x-gatehouse-probe"] then
        local names = {}
        for name in pairs(given) do
            table.insert(names, name)
        end
        headers["x-gatehouse-probe"] = { given["x-gatehouse-probe"][0] }
        headers["x-gatehouse-names"] = { table.concat(names, ",") }
    end
    headers["x-forwarded-method"] = { txn.sf:method() }
    headers["x-forwarded-uri"] = { txn.f:pathq() }
    return headers
end

local function answer(txn, status, headers, body)
    local reply = txn:reply({ status = status, body = body })
    for _, name in ipairs(ANSWERED) do
        for place = 0, headers[name] and #headers[name] or -1 do
            reply:add_header(name, headers[name][place])
        end
    end
    txn:done(reply)
end

-- Statuses of a request that Gatehouse rejects: ambiguous (400), too long (414, 431).
local UNREAD = { [400] = true, [414] = true, [431] = true }

local function closed(txn)
    answer(txn, 503, { ["retry-after"] = { [0] = "5" }, ["cache-control"] = { [0] = "no-store" } },
        "Nobody can say now whether you may go there. Try again in a moment.\n")
end

core.register_action("gatehouse", { "http-req" }, function(txn, role)
    local url = GATEHOUSE .. "/auth/forward"
    if role ~= "rules" then
        url = url .. "?role=" .. role
    end
    local found = core.httpclient():get({ url = url, headers = question(txn),
        timeout = MILLISECONDS })
    if not found or not found.status or found.status == 0 or found.status >= 500 then
        return closed(txn)
    end
    if found.status ~= 204 then
        if found.status ~= 302 and found.status ~= 401 and found.status ~= 403
            and not UNREAD[found.status] then
            return closed(txn)
        end
        return answer(txn, found.status, found.headers, found.body)
    end
    for _, name in ipairs(IDENTITY) do
        txn.http:req_del_header(name)
        local value = found.headers[name] and found.headers[name][0]
        if value and value ~= "" then
            txn.http:req_set_header(name, value)
        end
    end
end, 1)

-- Ends a request with trailers before they are sent to the app.
local Body = { id = "no_trailers", flags = filter.FLT_CFG_FL_HTX }
Body.__index = Body

function Body:new()
    return setmetatable({}, Body)
end

function Body:start_analyze(_, channel)
    if not channel:is_resp() then
        filter.register_data_filter(self, channel)
    end
end

function Body:http_payload(txn, message)
    local data = message:body()
    -- The end of a chunked body counts as one byte. Anything more is a trailer.
    if message:input() > (data and #data or 0) + 1 then
        txn:done()
    end
end

core.register_filter("no_trailers", Body, function(one) return one end)
