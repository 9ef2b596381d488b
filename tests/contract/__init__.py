"""The design contract's tables and numbered rules, over all doors.

`test_states.py` and `test_visibility.py` hold a table each, a row per line and a column per door: a door that lands adds its
column.
`rules.toml` names, for each rule, the tests that show it; `test_rules.py` fails where one of them is gone or a rule has none.
"""
