def check(*_):
    return False
