"""Connections that are cut from outside."""

import socket

from manager.acme.transport import Sockets


def test_a_connection_that_is_made_after_the_end_is_cut_as_well():
    sockets = Sockets()
    sockets.end()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        handle = sockets.watch(ours)
        assert ours.recv(1) == b""
        sockets.forget(handle)
        assert handle.fileno() == -1


def test_a_connection_that_is_let_go_while_something_is_asked_can_still_be_cut():
    sockets = Sockets()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with sockets.asking():
            handle = sockets.watch(ours)
            sockets.forget(handle)
            sockets.end()
            assert ours.recv(1) == b""
        assert handle.fileno() == -1
