def f(x):
    return "\ud800 \0 \U0001f600"
