"""/scim/v2: the endpoints of RFC 7644. Views parse, call one service, and answer."""
