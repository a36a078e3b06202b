"""Phones pair as their keys and displays allow: by comparing a number, by an old PIN code, or without any. An answer that names
another question is refused; so is a phone that asks beside another one. btvirt has no passkeys to show."""
import time

import callscoot_client

from stage import check, play, until


def refused(stage, **named):
    """The status with which an answer is refused that names these."""
    try:
        stage.service.client.answer_pairing(True, **named)
    except callscoot_client.CallScootClientError as error:
        return error.status
    return None


def pairs(stage, label, kind, **config):
    client = stage.service.client
    client.open_pairing_window(60)
    phone = stage.phone(label, **config)
    if kind == 'pin':
        fails_by_pin(stage, phone, '1234')
        phone.do({'set': {'typed': pin(stage)}})
    phone.begin({'connect': True})
    asks = until('%s asks' % label, stage.asks, 40)
    print('%s: %s' % (label, asks))
    check('the kind of question', asks['kind'], kind)
    check('who asks', asks['address'], phone.address)
    check('an answer for another phone', refused(stage, address='00:00:00:00:00:01'), 409)
    check('an answer to another number', refused(stage, address=phone.address, passkey='999999'), 409)
    check('the question meanwhile', stage.asks(), asks)
    client.answer_pairing(True, address=asks['address'], **({'passkey': asks['passkey']} if asks['passkey'] else {}))
    return phone


def pin(stage):
    return until('the PIN is told', lambda: stage.service.client.phones()['pairing']['pin'])


def fails_by_pin(stage, phone, typed):
    """Another PIN is typed on the phone, and whoever is here does not look."""
    before = pin(stage)
    phone.do({'set': {'typed': typed}})
    attempt = phone.begin({'connect': True})
    asks = until('%s asks' % phone.name, stage.asks, 40)
    check('the PIN of the question', (asks['kind'], asks['passkey']), ('pin', before))
    stage.service.client.answer_pairing(True, address=phone.address, passkey=before)
    fault = phone.end(attempt)
    check('the wrong PIN fails (%s)' % fault, 'AUTHENTICATION_FAILURE' in (fault or ''), True)
    until('another PIN is told', lambda: pin(stage) != before)
    phone.do({'disconnect': 'acl'})                 # as phones do then; btvirt tells BlueZ of no failure
    check('who is paired', [one['name'] for one in stage.service.client.phones()['phones'] if one['paired']], [])


def leaves(stage, phone):
    stage.service.client.remove_phone(phone.address)
    until('it is forgotten', lambda: not stage.service.client.phones()['phones'])
    phone.leave()
    time.sleep(0.5)


def scenario(stage):
    for label, kind, config in [
            ('compares', 'compare', {'io': 'display_yes_no'}),
            ('old', 'pin', {'io': 'keyboard_only', 'ssp': False}),
            ('just_works', 'allow', {'io': 'no_input_no_output', 'mitm': False}),
            ('displays_only', 'compare', {'io': 'display_only'})]:
        phone = pairs(stage, label, kind, **config)
        stage.connected(phone)
        check('trusted', stage.service.phone(phone.address)['trusted'], True)
        leaves(stage, phone)

    # Another one wants to pair beside one that asks: its question is refused, and an answer is never taken for it.
    client = stage.service.client
    client.open_pairing_window(60)
    first = stage.phone('first', name='First')
    second = stage.phone('second', name='Second')
    second.do({'occupy': stage.phone('companion').address})
    first.begin({'connect': True})
    asks = until('the first one asks', stage.asks, 40)
    check('who asks', asks['address'], first.address)
    fault = second.attempt({'connect': True}) or ''
    check('the second one is refused (%s)' % fault, 'AUTHENTICATION_FAILURE' in fault or 'Cancelled' in fault, True)
    check('the question meanwhile', stage.asks(), asks)
    check('an answer for the second one', refused(stage, address=second.address), 409)
    client.answer_pairing(True, address=first.address, passkey=asks['passkey'])
    stage.connected(first)
    check('who was let in', [one['name'] for one in client.phones()['phones'] if one['paired']], ['First'])


play(scenario)
