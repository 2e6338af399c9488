"""The only user of kopf: it watches and logs in; everything else happens on our queue."""
