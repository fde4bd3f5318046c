"""The usual parts put together as their own documentation says, to compare with."""
