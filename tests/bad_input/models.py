KINDS = ()
POST = CONFIG = ""
