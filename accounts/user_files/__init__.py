"""Files with users, as importusers reads and exportusers writes them. Pure: no database."""
