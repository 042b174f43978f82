from hypothesis import settings

# No deadline: a busy machine is not a wrong answer. No database: the tests leave nothing in the checkout.
settings.register_profile("jmap-proxy", deadline=None, database=None)
settings.load_profile("jmap-proxy")
