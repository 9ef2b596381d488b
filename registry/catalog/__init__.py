"""The use cases. Every function takes `session` first, does nothing but SQL, never commits, and can be run again.

Doors parse, authorise, call one function here through the runner, and render. What two doors need stands here, once.
"""
