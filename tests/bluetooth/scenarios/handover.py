"""A live call goes to the handset and back: asked for over the API, then by the owner on the phone. The voice link closes and
opens again, the call stays, and both sides hear each other after each return."""
import time

from stage import check, play, until


def moves(stage, call):
    """Where the audio went, and who moved it, as the call's events tell it."""
    return [(one['to'], one['by']) for one in stage.service.events(call, 'audio_moved')]


def scenario(stage):
    phone = stage.paired_phone()
    client = stage.service.client
    call = stage.call_in(phone)
    stage.exchange('before', phone)

    # Over the API. The phone must not have it back by itself, whatever it does.
    client.handover('handset')
    phone.wait('sco', state='closed')
    until('the audio is at the handset', lambda: client.current_call()['audio_at'] == 'handset')
    time.sleep(4)
    check('voice links while the owner speaks', phone.links, 1)
    started = time.monotonic()
    client.handover('agent')
    phone.wait('sco', state='open')
    until('the audio is here', lambda: client.current_call()['audio_at'] == 'agent')
    print('back to the agent within %.1f s' % (time.monotonic() - started))
    stage.exchange('given back over the API', phone)

    # By the owner: the phone closes the link, and refuses it when asked.
    phone.do({'set': {'at': {'AT+BCC': {'reply': 'OK'}}}})
    started = time.monotonic()
    phone.do({'audio': False})
    until('the audio is at the handset', lambda: client.current_call()['audio_at'] == 'handset')
    print('told as taken by the owner after %.1f s' % (time.monotonic() - started))
    check('times the phone was asked for the link', len(phone.events('at', line='AT+BCC')), 4)
    phone.do({'set': {'at': {}}})
    phone.do({'audio': True})
    phone.wait('sco', state='open')
    until('the audio is here', lambda: client.current_call()['audio_at'] == 'agent')
    stage.exchange('given back on the phone', phone)

    check('the call', client.current_call()['id'], call)
    ended = stage.hangs_up(phone, call)
    phone.wait('sco', state='closed')
    check('how it ended', ended['end_reason'], 'remote_hangup')
    check('voice links', ended['audio']['links'], 3)
    check('moves', moves(stage, call), [('handset', 'us'), ('agent', 'us'), ('handset', 'phone'), ('agent', 'phone')])
    check('calls on the phone', [one['state'] for one in phone.events('call')], ['incoming', 'active', 'ended'])


play(scenario)
