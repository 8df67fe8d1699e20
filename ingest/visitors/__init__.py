"""Who somebody is to a site: the cookie, its rules, and links from one domain to another."""
