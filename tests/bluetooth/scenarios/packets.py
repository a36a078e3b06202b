"""Voice packets of the sizes that adapters really have, each in a call of its own: both sides hear each other, packet for packet."""
from stage import NAME, check, play

# USB alternate settings 1, 2, 3 and 6, the Raspberry Pi's UART, Realtek; btvirt passes packets on as they come, up to its 72.
SIZES = (('msbc', 24), ('msbc', 72), ('cvsd', 24), ('cvsd', 48), ('cvsd', 72))


def scenario(stage):
    phone = stage.paired_phone()
    for codec, size in SIZES:
        phone.do({'set': {'packet_bytes': size, 'codecs': ['cvsd', 'msbc'] if codec == 'msbc' else ['cvsd']}})
        call = stage.call_in(phone)
        phone.wait('sco', state='open', codec=codec)
        stage.exchange('%s in packets of %d' % (NAME[codec], size), phone)
        audio = stage.hangs_up(phone, call)['audio']
        phone.wait('sco', state='closed')
        check('%s, size' % codec, [audio['codec'], audio['packet_bytes']], [NAME[codec], size])
        check('%s %d: what was lost' % (codec, size), [audio['lost'], audio['bad'], audio['bad_bytes'], audio['unsent']], [0] * 4)


play(scenario)
