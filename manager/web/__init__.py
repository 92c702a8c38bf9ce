"""Web pages: what they show, their forms, and the templates they are made of."""
