"""docs/reading-an-event.md: real messages, and how each is read (`make reading`).

kills.py makes the kills, kinds.py has the words, page.py the page. What this machine cannot make is taken from what a
guest's kernel reported (`make test-kernels`); what neither has made this time keeps the message that the page has.
"""
