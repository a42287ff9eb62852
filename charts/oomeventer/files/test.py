"""helm test: waits for the Event about the kill in the container beside it. Ends well when it is there."""

import json
import os
import ssl
import sys
import time
import urllib.parse
import urllib.request

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
NAMESPACE, UID, SECONDS = os.environ["NAMESPACE"], os.environ["UID"], 120

tls = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
tls.verify_flags &= ~ssl.VERIFY_X509_STRICT  # by default from Python 3.13 on, and refuses many clusters' CAs
host = os.environ["KUBERNETES_SERVICE_HOST"]
host = f"[{host}]" if ":" in host else host
selector = urllib.parse.urlencode({"fieldSelector": f"involvedObject.uid={UID},reason=OOMKilled"})
url = f"https://{host}:{os.environ['KUBERNETES_SERVICE_PORT']}/api/v1/namespaces/{NAMESPACE}/events?{selector}"
trouble = "no Event yet"
deadline = time.monotonic() + SECONDS
while time.monotonic() < deadline:
    with open(f"{ACCOUNT}/token") as token:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token.read()}"})
    try:
        with urllib.request.urlopen(request, timeout=10, context=tls) as answer:
            events = json.load(answer)["items"]
    except OSError as e:
        trouble = f"the API server: {e}"
    else:
        for event in events:
            if event["source"].get("component") == "oomeventer":
                print(f"{event['involvedObject'].get('fieldPath')}: {event['message']}")
                sys.exit(0)
    time.sleep(1)
sys.exit(
    f"within {SECONDS} s there was no Event about the kill in container victim ({trouble}). Is an agent on node "
    f"{os.environ['NODE']}, and ready? What does its log say?"
)
