"""Sends DICOM as pynetdicom does: store_peer.py PORT WHAT [FILE...]; prints one JSON object.

WHAT is a transfer syntax (implicit, explicit, big): the statuses that FILEs are answered with; `titles CALLING CALLED`: why
an association is rejected; `offers`: what is agreed on of what is offered; `odd FILE`: the statuses of objects that are not
what their command says; `half FILE`: half an object, then the connection is cut without a word.
"""

import json
import socket
import sys
from io import BytesIO

import numpy as np
import pydicom
from pydicom.uid import (CTImageStorage, EnhancedMRImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian,
                         ImplicitVRLittleEndian, JPEG2000Lossless, MRImageStorage, RLELossless,
                         SecondaryCaptureImageStorage)
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import Verification

SYNTAXES = {"implicit": ImplicitVRLittleEndian, "explicit": ExplicitVRLittleEndian, "big": ExplicitVRBigEndian}


def associate(contexts, calling="SCANNER", called="NEUROD", handlers=()):
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    for abstract, syntaxes in contexts:
        ae.add_requested_context(abstract, syntaxes)
    return ae.associate("127.0.0.1", port, ae_title=called, evt_handlers=list(handlers))


def request(sop_class, instance, data):
    req = C_STORE()
    req.MessageID, req.Priority = 1, 2
    req.AffectedSOPClassUID, req.AffectedSOPInstanceUID = sop_class, instance
    req.DataSet = BytesIO(data)
    return req


def send(assoc, context, *what):
    assoc._reactor_checkpoint.clear()
    while not assoc._is_paused:
        pass
    assoc.dimse.send_msg(request(*what), context)
    _, answer = assoc.dimse.get_msg(block=True)
    assoc._reactor_checkpoint.set()
    return f"{answer.Status:04X}" if answer else "none"


def context_of(assoc, abstract):
    return next(c.context_id for c in assoc.accepted_contexts if c.abstract_syntax == abstract)


def store(name, files):
    syntax = SYNTAXES[name]
    assoc = associate([(MRImageStorage, [syntax]), (EnhancedMRImageStorage, [syntax])])
    statuses = []
    for file in files:
        ds = pydicom.dcmread(file)
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        data = encode(ds, syntax.is_implicit_VR, syntax.is_little_endian)
        statuses.append(send(assoc, context_of(assoc, ds.SOPClassUID), ds.SOPClassUID, ds.SOPInstanceUID, data))
    assoc.release()
    return {"statuses": statuses}


def titles(calling, called):
    # An answer that comes before pynetdicom has looked whether it is connected is heard here alone.
    answers = []
    assoc = associate([(Verification, [ImplicitVRLittleEndian])], calling, called,
                      [(evt.EVT_PDU_RECV, lambda event: answers.append(event.pdu))])
    if assoc.is_established:
        status = assoc.send_c_echo().Status
        assoc.release()
        return {"status": status}
    (answer,) = answers
    return {"result": answer.result, "source": answer.source, "reason": answer.reason_diagnostic}


def offers():
    assoc = associate([(MRImageStorage, [JPEG2000Lossless, RLELossless]), (CTImageStorage, [ExplicitVRLittleEndian]),
                       (EnhancedMRImageStorage, [RLELossless, ImplicitVRLittleEndian, ExplicitVRLittleEndian]),
                       (SecondaryCaptureImageStorage, [ExplicitVRBigEndian])])
    agreed = {c.abstract_syntax.name: c.transfer_syntax[0].name for c in assoc.accepted_contexts}
    refused = {c.abstract_syntax.name: c.result for c in assoc.rejected_contexts}
    capture = SecondaryCaptureImageStorage
    other = send(assoc, context_of(assoc, capture), capture, "2.25.1", b"\0" * 64)
    assoc.release()
    return {"agreed": agreed, "refused": refused, "other": other}


def odd(file):
    assoc = associate([(MRImageStorage, [ExplicitVRLittleEndian]), (EnhancedMRImageStorage, [ExplicitVRLittleEndian])])
    ds = pydicom.dcmread(file)
    plain = encode(ds, False, True)
    mr, enhanced = context_of(assoc, MRImageStorage), context_of(assoc, EnhancedMRImageStorage)
    huge = pydicom.dcmread(file)
    huge.Rows = huge.Columns = 65535
    what = {
        "another class": (enhanced, EnhancedMRImageStorage, "2.25.1", plain),
        "another context": (enhanced, MRImageStorage, "2.25.1", plain),
        "another byte order": (mr, MRImageStorage, "2.25.1", encode(ds, False, False)),
        "another encoding": (mr, MRImageStorage, "2.25.1", encode(ds, True, True)),
        "an end": (mr, MRImageStorage, "2.25.1", plain[:-64]),
        "noise": (mr, MRImageStorage, "2.25.1", bytes(range(256)) * 8),
        "huge": (mr, MRImageStorage, "2.25.1", encode(huge, False, True)),
        "what it says": (mr, MRImageStorage, ds.SOPInstanceUID, plain),
    }
    statuses = {name: send(assoc, *each) for name, each in what.items()}
    assoc.release()
    return statuses


def half(file):
    assoc = associate([(MRImageStorage, [ExplicitVRLittleEndian])])
    ds = pydicom.dcmread(file)
    message = C_STORE_RQ()
    message.primitive_to_message(request(ds.SOPClassUID, ds.SOPInstanceUID, encode(ds, False, True)))
    message.context_id = context_of(assoc, MRImageStorage)
    fragments = list(message.encode_msg(message.context_id, 512))
    for fragment in fragments[:len(fragments) // 2]:
        assoc.dul.send_pdu(fragment)
    while not assoc.dul.to_provider_queue.empty():
        pass
    assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)
    return {"sent": len(fragments) // 2, "of": len(fragments)}


port, what, rest = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
if what in SYNTAXES:
    said = store(what, rest)
else:
    said = {"titles": titles, "offers": offers, "odd": odd, "half": half}[what](*rest)
print(json.dumps(said))
