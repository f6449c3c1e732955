def generated():
    return []
