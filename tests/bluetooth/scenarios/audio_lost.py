"""The voice link breaks in the middle of a call, which goes on: the phone is asked for another, and both hear each other."""
import time

from stage import check, play


def scenario(stage):
    phone = stage.paired_phone()
    call = stage.call_in(phone)
    stage.exchange('before', phone)
    for turn in (1, 2):
        started = time.monotonic()
        phone.do({'disconnect': 'sco'})
        phone.wait('sco', state='open', timeout=5)
        print('loss %d: another link after %.1f s' % (turn, time.monotonic() - started))
        check('times the phone was asked for it', len(phone.events('at', line='AT+BCC')), turn)
        stage.exchange('after loss %d' % turn, phone)
    # The phone opens the link itself before it is asked.
    phone.do({'disconnect': 'sco'})
    phone.do({'audio': True})
    phone.wait('sco', state='open', timeout=5)
    stage.exchange('opened by the phone', phone)
    check('times the phone was asked for it', len(phone.events('at', line='AT+BCC')), 2)
    ended = stage.hangs_up(phone, call)
    phone.wait('sco', state='closed')
    check('how it ended', ended['end_reason'], 'remote_hangup')
    check('voice links', ended['audio']['links'], 4)
    check('moves of the audio', stage.service.events(call, 'audio_moved', 'audio_lost'), [])


play(scenario)
