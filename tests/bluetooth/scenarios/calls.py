"""calls.py msbc|cvsd: pairing, a call in and a call out, speech both ways."""
import subprocess
import sys

from stage import NAME, check, play

CODEC = sys.argv[1]
NUMBER_IN, NUMBER_OUT = '+15550100', '+15550142'


def scenario(stage):
    phone = stage.paired_phone(codecs=['cvsd', 'msbc'] if CODEC == 'msbc' else ['cvsd'])
    call = stage.call_in(phone, NUMBER_IN)
    stage.exchange('call in', phone)
    inbound = stage.hangs_up(phone, call)
    phone.wait('sco', state='closed')

    dialled = stage.service.client.queue_outbound_call(NUMBER_OUT)
    call = stage.active(dialled['session_id'])
    stage.exchange('call out', phone)
    stage.service.client.hangup_current_call()
    outbound = stage.over(call)
    phone.wait('sco', state='closed')

    check('by way of', dialled['via'], 'hfp')
    check('backend', inbound['telephony_backend'], 'hfp')
    check('who called', inbound['incoming_number'], NUMBER_IN)
    check('who was called', outbound['incoming_number'], NUMBER_OUT)
    check('how the call in ended', inbound['end_reason'], 'remote_hangup')
    check('how the call out ended', outbound['end_reason'], 'local_hangup')
    check('codecs', [inbound['audio'].get('codec'), outbound['audio'].get('codec')], [NAME[CODEC]] * 2)
    # No Broadcom chip: a raw HCI socket that works, and nothing to do.
    check('the routing helper', subprocess.run(['./callscoot-sco-routing', 'hci0']).returncode, 0)


play(scenario)
