//! Who is the master, who may be read? Replies in, members of each service out; no I/O.
