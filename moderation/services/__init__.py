"""Services of moderation: count, score, ban, lift, explain."""
