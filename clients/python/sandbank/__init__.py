"""Sandbank: run untrusted Python in hardened containers, from Python.

    from sandbank import Client

    with Client("127.0.0.1:50051") as client, client.session() as session:
        print(session.run("1 + 1").value)

Names are loaded on first use: whoever needs only the messages (`sandbank.v1.execution_pb2`), as the process inside
a sandbox does, never imports grpc.
"""
