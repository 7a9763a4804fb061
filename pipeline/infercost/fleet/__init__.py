"""A fleet of data centres over years: what to buy, convert and retire to serve demand."""
