import json
order = {"id": 7, "items": [{"name": "it's }", "n": 1}, {}, [], [1, -2.5, None]], "note": "a \"quoted\" {"}
print("open")
print(json.dumps(order, indent=2))
print(json.dumps(order))
print(json.dumps([order], indent=0))
print("closed")
