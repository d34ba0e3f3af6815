"""A phone's TLS stack of 2010: nassl's OpenSSL 1.0.2, which still speaks SSLv2-format hellos, TLS 1.0, RC4 and EXPORT.

Reads jobs from standard input, one JSON object on each line, and prints what each came to in the same way. A job:
  port, version ("any", "tls1", "tls1.1", "tls1.2"), suites (OpenSSL's names), and where wanted
  chain and key (PEM files), server_name, request, fallback (sends TLS_FALLBACK_SCSV), resume (the job's number whose
  session is used again), renegotiate (tries to, after the answer).
An outcome: answer, suite, version, reused, session (its identifier) or error; sslv2_hello says how the hello was framed.
"""

import json
import socket
import sys
from pathlib import Path

from nassl.legacy_ssl_client import LegacySslClient
from nassl.ssl_client import ClientCertificateRequested, OpenSslVerifyEnum, OpenSslVersionEnum

VERSIONS = {
    "any": OpenSslVersionEnum.SSLV23,
    "tls1": OpenSslVersionEnum.TLSV1,
    "tls1.1": OpenSslVersionEnum.TLSV1_1,
    "tls1.2": OpenSslVersionEnum.TLSV1_2,
}


class Watched:
    """A socket that remembers how the client began and how the server ended."""

    def __init__(self, sock):
        self._sock = sock
        self.first = b""
        self.received = b""

    def send(self, data):
        if not self.first:
            self.first = bytes(data)
        self._sock.sendall(data)
        return len(data)

    def recv(self, size):
        data = self._sock.recv(size)
        self.received += data
        return data

    def __getattr__(self, name):
        return getattr(self._sock, name)


def plain_alert(received):
    """The alert in the clear, if one ends what was received."""
    at, alert = 0, None
    while at + 5 <= len(received):
        kind, length = received[at], int.from_bytes(received[at + 3 : at + 5], "big")
        if kind == 21 and length == 2:
            alert = received[at + 6]
        at += 5 + length
    return alert


def run(job, sessions):
    sock = Watched(socket.create_connection(("127.0.0.1", job["port"]), timeout=20))
    outcome = {}
    try:
        client = LegacySslClient(
            underlying_socket=sock,
            ssl_version=VERSIONS[job["version"]],
            ssl_verify=OpenSslVerifyEnum.NONE,
            client_certificate_chain=Path(job["chain"]) if "chain" in job else None,
            client_key=Path(job["key"]) if "key" in job else None,
            ignore_client_authentication_requests="chain" not in job,
        )
        client.set_cipher_list(job["suites"])
        if "server_name" in job:
            client.set_tlsext_host_name(job["server_name"])
        if job.get("fallback"):
            client.enable_fallback_scsv()
        if "resume" in job:
            client.set_session(sessions[job["resume"]])
        client.do_handshake()
        outcome["suite"] = client.get_current_cipher_name()
        sessions[job["number"]] = client.get_session()
        request = job.get("request", "GET / HTTP/1.0\r\n\r\n").encode()
        client.write(request)
        answer = b""
        try:
            while True:
                answer += client.read(65536)
        except Exception as error:  # the end of the stream has several names
            outcome["end"] = f"{type(error).__name__}: {error}"
        outcome["answer"] = answer.decode("latin-1")
        if job.get("renegotiate"):
            try:
                client.do_renegotiate()
                outcome["renegotiated"] = True
            except Exception as error:
                outcome["renegotiated"] = False
        text = client.get_session().as_text()
        for line in text.splitlines():
            name, _, value = line.strip().partition(":")
            if name.strip() == "Session-ID":
                outcome["session"] = value.strip()
            if name.strip() == "Protocol":
                outcome["version"] = value.strip()
        client.shutdown()
    except ClientCertificateRequested:
        outcome["error"] = "a certificate was asked for"
    except Exception as error:
        outcome["error"] = f"{type(error).__name__}: {error}"
    finally:
        sock.close()
    outcome["sslv2_hello"] = bool(sock.first) and sock.first[0] & 0x80 != 0
    alert = plain_alert(sock.received)
    if alert is not None and "answer" not in outcome:
        outcome["alert"] = alert
    return outcome


def main():
    sessions = {}
    for number, line in enumerate(sys.stdin):
        job = json.loads(line)
        job["number"] = number
        print(json.dumps(run(job, sessions)), flush=True)


if __name__ == "__main__":
    main()
