"""LeetCode's nodes, which cross as the lists that LeetCode writes for them."""
import codec

MAX_LINKED = 200_000  # nodes of a linked list or tree


class ListNode:
    """LeetCode's."""

    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next


class TreeNode:
    """LeetCode's."""

    def __init__(self, val=0, left=None, right=None):
        self.val = val
        self.left = left
        self.right = right


def list_values(node):
    values = []
    while node is not None:
        values.append(node.val)
        if len(values) > MAX_LINKED:
            raise codec.NotPlain("a linked list without an end")
        node = node.next
    return values


def tree_values(root):
    """Level order with None for a missing child, as LeetCode writes trees."""
    values, level = [], [root]
    while any(node is not None for node in level):
        below = []
        for node in level:
            values.append(None if node is None else node.val)
            if node is not None:
                below += (node.left, node.right)
        if len(values) > MAX_LINKED:
            raise codec.NotPlain("a tree without an end")
        level = below
    while values and values[-1] is None:
        values.pop()
    return values


def make_list(values, node_class):
    head = None
    for value in reversed(values):
        head = node_class(value, head)
    return head


def make_tree(values, node_class):
    if not values or values[0] is None:
        return None
    root = node_class(values[0])
    level, at = [root], 1
    while at < len(values):
        below = []
        for node in level:
            for side in ("left", "right"):
                if at < len(values) and values[at] is not None:
                    child = node_class(values[at])
                    setattr(node, side, child)
                    below.append(child)
                at += 1
        if not below:
            break
        level = below
    return root
