"""The words augmentation may exchange in what a user says. Owns lists only; replies are never reworded.

Every set holds phrases that mean the same of a home's devices. None of them names another device, room, value
or number; the guards refuse what slips through all the same.
"""

from __future__ import annotations

LEXICON_VERSION = 1


def _sets(text: str) -> tuple[tuple[str, ...], ...]:
    lines = (line.strip() for line in text.strip().splitlines())
    return tuple(tuple(phrase.strip() for phrase in line.split("|")) for line in lines if line)


# Phrases exchanged inside a sentence, one set a line.
PHRASES = _sets("""
turn on | switch on | power on
turn off | switch off | power off | shut off
turn it on | switch it on
turn it off | switch it off | shut it off
turn up | raise
adjust the | change the
set up | get ready
arm | activate
air conditioner | AC | air conditioning
TV | television
security system | alarm system
dim the lights | lower the lights | turn the lights down
dim them | turn them down
soften them | make them softer
brighten up the lights | make the lights brighter
make it a bit warmer | make it a little warmer | make it slightly warmer
make it cooler | make it a bit cooler
make it warmer | warm it up
cool the room down | cool down the room | make the room cooler
warm up the room | warm the room up | make the room warmer
turn up the heat | raise the heat
a bit | a little | slightly
a little too | a bit too
quite | rather | pretty
too hot | far too hot | way too hot
too bright | overly bright
too harsh | overly harsh
too dark | very dark | so dark
stuffy | stale
in here | in this room
right now | at the moment
some music | a little music
some background music | a little background music
put something on | find something to watch on
watching something | seeing something
make sure the house is safe | make sure the home is safe | keep the house safe
take care of | see to | look after
match my mood | fit my mood | suit my mood
cozy | snug | comfortable
gentle light | soft light
good light | proper light
a calm place | a quiet place | a peaceful place
helps me focus on | helps me concentrate on
long day | tiring day
got home | came home | arrived home
coming over | visiting
staying in | staying at home
relax | unwind | wind down
dull | drab
the mood | the atmosphere
any minute | any moment
the sofa | the couch
don't want | do not want
don't need | do not need
can't find | cannot find
I'm | I am
I'd like | I would like
I've | I have
it's | it is
that's | that is
what's | what is
check | look at
lower | bring down
loud | noisy
soft | mild
guests | visitors
friends | mates
later | later on
just the thing | exactly right
a tricky design | a difficult design
brewing | steeping
outside | out there | outdoors
so nicely | beautifully
clear sky | bright sky
strong today | intense today
really coming down | falling hard
pouring | raining hard
piling up | gathering
howling | blowing hard
""")

# Whole sentences that say the same.
SENTENCES = _sets("""
Hello. | Hi. | Hi there. | Hello there.
Hey there! | Hi! | Hi there! | Hello!
Hello, hello! | Hi there!
That's all. | That's everything. | That's all for now.
No more changes. | No further changes.
Done for now. | I'm done for now. | All done for now.
That's all for now, thank you. | Thank you, that's everything. | That's everything, thank you.
That's it, thanks! | That's all, thanks! | Cool, nothing else. Thanks!
Perfect, thank you. | Great, thank you. | Wonderful, thank you.
Perfect! | Great! | Wonderful!
Yes, please. | Yes, do that, please. | Yes, thank you.
Yes. | Yes, do it. | Do it.
Yeah, sure. | Yeah. | Sure.
It's so cloudy today. | It is very cloudy today. | What a cloudy day.
The sky is gray again. | Gray skies again.
Not much sun out there. | There is hardly any sun out there.
It's bright outside today. | It is a bright day outside.
It's so windy out there. | It is very windy outside.
The wind is howling. | The wind is really strong.
It's snowing like crazy. | It is snowing heavily.
It's pouring outside. | It is raining hard outside.
It's freezing. | It is freezing cold. | I'm freezing.
I'm cold. | I feel cold.
I'm melting. | I'm far too hot.
Everyone else is asleep. | Everybody else is sleeping.
My friends will be here any minute. | My friends are about to arrive.
I'm expecting some guests tonight. | Some guests are coming tonight.
It has been a long day at work. | Work was long today.
I want to relax a little before bed. | I want to wind down before bed.
""")

# Words that tie a request to the one before it.
LINKS = ("Also,", "And", "Oh, and", "Actually,", "Now,", "One more thing:", "Then,", "Next,", "By the way,")

# How a request is opened. Those that are questions end in "?". Only recognised: the two lists below.
ASKING = ("Can you", "Could you", "Can you please", "Could you please", "Would you", "Would you please")
TELLING = ("Please", "I'd like you to", "I need you to", "I want you to", "Just", "")
ALSO_ASKING = (
    "Would you kindly",
    "Can you quickly",
    "Could you gently",
    "Could you kindly",
    "Mind if you",
    "Maybe you could",
    "Perhaps you could",
    "I wonder, could you",
    "Will you",
    "Will you please",
)
ALSO_TELLING = ("Let's", "I would like you to", "Kindly", "Go ahead and")

# What a request's own words begin with, so that "Just the usual" is no request.
VERBS = frozenset(
    (
        "turn",
        "switch",
        "set",
        "put",
        "make",
        "dim",
        "brighten",
        "adjust",
        "change",
        "raise",
        "lower",
        "soften",
    )
    + ("increase", "decrease", "reduce", "arm", "disarm", "activate", "enable", "disable", "power", "lock")
    + ("play", "pause", "mute", "start", "stop", "open", "close", "shut", "heat", "warm", "cool", "water")
    + ("check", "take", "tell", "get", "bring", "give", "keep", "move", "show", "find", "see", "look", "do")
    + ("help", "tune", "use", "run", "unlock")
)

# How values are given when the assistant has asked for them; {s} are the values, {S} with a capital.
GIVING = (
    "Set it to {s}.",
    "Make it {s}.",
    "Please set it to {s}.",
    "Please make it {s}.",
    "Go with {s}.",
    "Let's go with {s}.",
    "I'd like {s}, please.",
    "{S}, please.",
    "How about {s}?",
)
ALSO_GIVING = (
    "I'd like {s}.",
    "Could you make it {s}?",
    "Can you make it {s}?",
    "Let it be {s}.",
    "Let's keep it at {s}.",
    "Let's do {s}!",
    "I'm thinking {s}!",
    "I think {s} would feel right.",
    "Perhaps {s}.",
)

# How the state of a device is asked for.
STATE_QUESTIONS = (
    "What's the current {p} of {d}?",
    "What is the {p} of {d} right now?",
    "Tell me the {p} of {d}.",
    "Can you tell me the {p} of {d}?",
    "Remind me, what did I set as the {p} of {d}?",
)
