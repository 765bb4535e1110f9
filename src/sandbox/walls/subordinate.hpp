// A range of users for one who is not root: the subordinate users of /etc/subuid.
#pragma once

namespace preimage::sandbox {

// Puts this process, which must have a single thread, into a user namespace in which it is root and
// the subordinate users of its owner are users 1, 2, ... newuidmap and newgidmap (package uidmap)
// are asked to map them. For root nothing is to do: false. Throws ExitCode::unavailable with the
// fix.
bool enter_subordinate_users();

}  // namespace preimage::sandbox
