"""Pages of accounts: parse, call one service, answer."""
