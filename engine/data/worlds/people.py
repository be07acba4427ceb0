"""The people of the synthetic worlds: who they are, how they talk, what they ask for.

Owns word lists only. How assistants answer them is in lexicon.py.
"""

from __future__ import annotations

_NAMES = """
Ada Adele Amara Anton Arlo Astrid Aurora Basil Bea Beatrix Bruno Callum Camille Cedric Celeste Clara Clement
Cora Cosmo Dahlia Damien Daphne Delia Dimitri Edgar Edith Eleanor Elias Elio Elsa Emil Esme Ezra Fabian
Felix Fern Fiona Flora Florian Frances Freya Gideon Gilda Greta Gus Hanna Hattie Hazel Hector Helena Henrik
Hugo Ida Imogen Ines Ingrid Iris Isolde Ivan Jasper Joel Jonas Josephine Julian June Kai Karin Kasper Lars
Laszlo Leonie Lena Leopold Lilian Linus Livia Lorenzo Lotte Lucian Luna Mabel Magnus Malik Mara Margot
Marius Matilda Mila Milo Mira Mona Nadia Nell Nestor Nico Nina Noor Oda Olive Orla Oscar Otis Otto Paloma
Pascal Penelope Petra Philippa Pia Quentin Rafael Ravi Reza Rhea Robin Rosa Rufus Ruth Sabine Salma Samira
Saskia Sigrid Silas Simone Sol Stella Sven Tamsin Teo Thea Theodor Tilda Tobias Ulla Una Ursula Vera Viggo
Viola Walter Wilma Xavier Yara Yusuf Zelda Zora
"""
FIRST_NAMES = tuple(_NAMES.split())

# (hobby as a noun phrase for "Enjoy your ...", what the user says she is doing, profession-like description)
HOBBIES: tuple[tuple[str, str, str], ...] = (
    ("yoga session", "doing my yoga", "yoga teacher"),
    ("reading", "reading a mystery novel", "librarian"),
    ("baking", "baking sourdough bread", "home baker"),
    ("painting", "painting a landscape", "watercolor painter"),
    ("gardening", "tending to my seedlings", "indoor gardener"),
    ("chess practice", "studying chess openings", "chess player"),
    ("guitar practice", "practicing the guitar", "street musician"),
    ("woodworking", "carving a wooden bowl", "carpenter"),
    ("stargazing", "watching the stars", "amateur astronomer"),
    ("workout", "warming up for a workout", "fitness coach"),
    ("knitting", "knitting a scarf", "knitter"),
    ("puzzle", "working on a huge puzzle", "puzzle collector"),
    ("cooking", "cooking a slow stew", "retired chef"),
    ("writing", "writing a new chapter", "novelist"),
    ("pottery", "shaping a clay vase", "potter"),
    ("dance practice", "rehearsing a dance", "choreographer"),
    ("bird watching", "watching the birds outside", "bird watcher"),
    ("model building", "gluing a model ship", "model builder"),
    ("meditation", "meditating for a while", "quiet thinker"),
    ("gaming", "playing a new game", "gamer"),
    ("tea tasting", "tasting a smoky tea", "tea sommelier"),
    ("photography", "sorting my photographs", "photographer"),
    ("sewing", "sewing a velvet coat", "tailor"),
    ("history research", "reading about ancient cities", "historian"),
    ("climbing training", "resting after a climb", "climber"),
    ("coding", "debugging a small program", "programmer"),
    ("magic practice", "rehearsing a card trick", "magician"),
    ("beekeeping", "checking on my bees", "beekeeper"),
    ("calligraphy", "practicing calligraphy", "calligrapher"),
    ("singing", "rehearsing an aria", "singer"),
    ("watch repair", "repairing an old watch", "watchmaker"),
    ("journaling", "writing in my journal", "diarist"),
    ("language practice", "practicing my French", "language learner"),
    ("kite making", "mending a paper kite", "kite maker"),
    ("juggling", "learning to juggle", "juggler"),
    ("bonsai care", "trimming a bonsai", "bonsai grower"),
    ("film night", "looking through old films", "film lover"),
    ("crossword", "solving a crossword", "crossword fan"),
    ("sketching", "sketching a new design", "architect"),
    ("perfume making", "mixing a citrus perfume", "perfumer"),
    ("fishing trip", "cleaning my fishing gear", "fisherman"),
    ("cycling", "home from a long ride", "cyclist"),
    ("candle making", "pouring some candles", "candle maker"),
    ("stretching", "stretching after a run", "runner"),
    ("jewelry making", "setting a small stone", "jeweler"),
    ("puppet show", "painting a puppet", "puppeteer"),
    ("train set", "fixing my model trains", "railway fan"),
    ("mending", "mending an old quilt", "quilter"),
)

# Tones of the USER: greeting, request openers, thanks. The assistant's manner is drawn apart from it.
USER_TONES: dict[str, dict[str, tuple[str, ...]]] = {
    "polite": {
        "greeting": ("Good {time}.", "Hello.", "Good {time}!", ""),
        "can": ("Could you please", "Could you", "Would you", "I'd like you to", "Would you kindly"),
        "give": ("Please set it to {s}.", "I'd like {s}, please.", "{S}, please.", "Could you make it {s}?"),
        "thanks": (
            "That's all for now, thank you.",
            "Perfect, thank you. That will be all.",
            "Thank you, that's everything.",
        ),
        "yes": ("Yes, please.", "Yes, thank you.", "That would be lovely."),
    },
    "casual": {
        "greeting": ("Hey there!", "Hey,", "Hi!", "Hey, it's me.", "Yo,", "Hey assistant,"),
        "can": ("Can you", "Could you", "Mind if you", "Can you quickly"),
        "give": ("Let's go with {s}.", "How about {s}?", "Make it {s}.", "Set it to {s}."),
        "thanks": ("That's it, thanks!", "Awesome, that's all!", "Cool, nothing else. Thanks!"),
        "yes": ("Yeah, sure.", "Yeah.", "Sure, why not."),
    },
    "terse": {
        "greeting": ("", "", "Listen.", ""),
        "can": ("Can you", "I need you to", "Just", "Please"),
        "give": ("Set it to {s}.", "{S}.", "Make it {s}.", "Go with {s}."),
        "thanks": ("That's all.", "Done for now.", "No more changes."),
        "yes": ("Yes.", "Do it.", "Fine, yes."),
    },
    "dreamy": {
        "greeting": ("Ah, what a {time}.", "Oh,", "The {time} is so quiet.", "Mmm,"),
        "can": ("Could you", "Maybe you could", "Could you gently", "I wonder, could you"),
        "give": ("Let it be {s}.", "Let's keep it at {s}.", "I think {s} would feel right.", "Perhaps {s}."),
        "thanks": (
            "That is everything I need. Thank you.",
            "Lovely. I'll drift off now.",
            "It feels right now, thank you.",
        ),
        "yes": ("Yes, that feels right.", "Oh yes.", "Yes, softly."),
    },
    "lively": {
        "greeting": (
            "Hi there, it's such a {time}!",
            "Hello, hello!",
            "Oh wow, what a {time}!",
            "Yay, home at last!",
        ),
        "can": ("Can you", "Could you please", "Let's", "Can you please"),
        "give": ("Let's do {s}!", "Make it {s}!", "I'm thinking {s}!", "{S}, please!"),
        "thanks": ("Perfect! That's all for now!", "You're the best, that's it!", "Amazing, thanks so much!"),
        "yes": ("Yes, please!", "Oh yes!", "Absolutely, yes!"),
    },
}

WEATHER_REMARKS: dict[str, tuple[str, ...]] = {
    "sunny": (
        "The sun is shining so nicely.",
        "It's bright outside today.",
        "What a clear sky.",
        "The sunlight is strong today.",
    ),
    "cloudy": (
        "It's so cloudy today.",
        "The sky is gray again.",
        "Not much sun out there.",
        "Clouds everywhere.",
    ),
    "rainy": (
        "The rain is really coming down.",
        "It's pouring outside.",
        "The rain keeps tapping on the window.",
        "What a rainy {time}.",
    ),
    "snowy": (
        "It's snowing like crazy.",
        "Snow is piling up outside.",
        "Everything is white with snow.",
        "What a snowy {time}.",
    ),
    "windy": ("The wind is howling.", "It's so windy out there.", "The wind rattles the windows."),
}

NEEDS: dict[str, tuple[str, ...]] = {
    "ac/heat": (
        "It's quite chilly in here. {can} adjust the AC?",
        "It's freezing. {can} turn up the heat?",
        "{can} make it a bit warmer in here?",
        "{can} set the AC to heat mode? I'm cold.",
        "I'm cold. {can} warm up the room?",
    ),
    "ac/cool": (
        "It's a bit warm in here. {can} adjust the AC?",
        "It's too hot. {can} cool the room down?",
        "{can} make it cooler in here?",
        "{can} set the AC to cool mode?",
        "I'm melting. {can} do something about the AC?",
    ),
    "ac/auto": (
        "The air feels stuffy. {can} adjust the AC?",
        "{can} turn on the AC for me?",
        "{can} set the AC to auto mode?",
        "The air is a bit heavy. {can} take care of the AC?",
    ),
    "lights/dim": (
        "{can} dim the lights a bit?",
        "The lights feel too bright. {can} soften them?",
        "{can} set the lights to a cozy level?",
        "{can} turn the lights to a warm glow?",
        "The lights are too harsh for {doing}. {can} dim them?",
        "I want a gentle light for {doing}.",
        "{can} adjust the lights to something warmer?",
    ),
    "lights/bright": (
        "It's too dark for {doing}. {can} adjust the lights?",
        "{can} brighten up the lights?",
        "I need good light, I'm {doing}.",
        "{can} make the lights brighter?",
        "{can} adjust the lights to match my mood?",
        "{can} turn on the lights for me?",
        "The light is a bit dull. {can} change it?",
    ),
    "tv/on": (
        "{can} turn on the TV? I want to unwind.",
        "{can} put something on the TV?",
        "I feel like watching something on the TV.",
        "{can} set up the TV for me?",
    ),
    "speaker/on": (
        "I'd like some music while I'm {doing}.",
        "{can} turn on the speaker?",
        "{can} play some music on the speaker?",
        "Some background music would be nice.",
    ),
    "security/on": (
        "{can} make sure the house is safe?",
        "{can} arm the security system?",
        "I'm about to leave. {can} take care of the security system?",
    ),
}

OFF_REQUESTS = (
    "{can} turn off the {device}?",
    "{can} switch off the {device}? I need some quiet.",
    "I don't need the {device} now, {can_lower} turn it off?",
)
LINKS = ("Also,", "And", "Oh, and", "Actually,", "Now,", "One more thing:", "", "")
ROOMS = ("living room", "bedroom", "kitchen", "office", "hallway", "workshop", "studio", "attic")
REASONS = (
    "I want a calm place for my {activity}.",
    "It helps me focus on my {activity}.",
    "I need it for my {activity}.",
    "It has been a long day at work.",
    "I just got home from the market.",
    "My sister is coming over for dinner later.",
    "I feel like staying in today.",
    "My hands are still cold from the walk.",
    "I want to relax a little before bed.",
    "The room feels a bit dull without it.",
    "I like it that way when I'm alone.",
    "It sets the right mood for a {time} like this.",
    "I can barely see what I'm doing.",
    "The neighbors are loud again.",
    "I slept badly last night.",
    "My friends will be here any minute.",
    "That is how my grandmother always had it.",
    "I don't want to get up from the sofa.",
    "The dog keeps shivering on the rug.",
    "I have a headache from staring at screens.",
    "There is a show I don't want to miss.",
    "It's just the thing after so much fresh air.",
    "I'm trying to build a new habit.",
    "Let's make it cozy in here.",
    "I still have an hour of {activity} ahead of me.",
    "The whole street looks sleepy.",
    "I've been on my feet since dawn.",
    "A little comfort never hurts.",
    "It should feel like a small hotel by the sea.",
    "I promised myself a quiet {time}.",
    "My plants will like it, too.",
    "The tea is already brewing.",
    "I'm waiting for a delivery.",
    "The windows are fogging up.",
    "I can hear the train in the distance.",
    "I've got flour all over my sleeves.",
    "Everyone else is asleep.",
    "It is nearly the weekend.",
    "I'm working on the next piece of my {activity}.",
    "I just finished my {activity} for today.",
    "I need better lighting for my {activity}.",
    "I'm getting ready for my {activity}.",
    "That would be perfect for my {activity} tonight.",
    "I want to concentrate on my {activity} now.",
    "I'm thinking of making a smoothie later.",
    "It feels rather dark in here, doesn't it?",
    "I prefer a soft glow at this hour.",
    "I'll read a story before I go to sleep.",
    "The silence of the {time} is soothing.",
    "I'm going to chill for the rest of the day.",
    "I got back from a hike and I'm beat.",
    "Let's match the creative flow of this {time}.",
    "I was out in the garage until now.",
    "There's some soft music I want to hear instead.",
    "The birds were singing so early today.",
    "I still want to see clearly what I do.",
    "My fingers are stiff and I have some typing to do.",
    "The light from the street is a bit harsh.",
    "I like a comfortable atmosphere when I'm working.",
    "It's a beautiful, calm {time} and I want it to stay that way.",
    "I can't find my glasses without it.",
    "I've been training hard and need a rest.",
    "It makes the colors pop.",
    "I don't want any distractions.",
    "The flowers look better that way.",
    "It's pretty cold and I'm not going out again.",
    "Yeah, the whole place has a good vibe then.",
    "I want to feel the ocean while I drift off.",
    "I need to unwind after today's class.",
    "I'm expecting some guests tonight.",
    "That way I can enjoy the view.",
    "I'm stuck with a tricky design.",
    "The water in the tub is running already.",
)
ASK_STATE = (
    "What's the current {parameter} of the {device}?",
    "What is the {parameter} of the {device} right now?",
    "Remind me, what did I set as the {parameter} of the {device}?",
)
TELL_STATE = "The {parameter} of the {device} is {value}."
OTHER_REQUESTS: tuple[tuple[str, str], ...] = (
    ("{can} close the curtains?", "The curtains are closed now."),
    ("{can} start the coffee maker?", "The coffee maker is starting now."),
    ("{can} turn on the porch light?", "The porch light is now on."),
    ("{can} start the vacuum in the hallway?", "The vacuum is starting in the hallway."),
    ("{can} check the humidity?", "The humidity is within the usual range."),
    ("{can} dim the porch light?", "The porch light has been dimmed as requested."),
    ("{can} turn off the projector?", "The projector has been turned off."),
    ("{can} water the indoor plants?", "The indoor plants are being watered now."),
    ("{can} change the playlist?", "Changing the playlist now."),
    ("{can} heat the garage?", "The garage temperature has been adjusted."),
    ("{can} play some classical music?", "Playing classical music now."),
    ("{can} turn on the fountain in the garden?", "The garden fountain is now on."),
    ("{can} lower the blinds?", "The blinds are lowered."),
)

# How the character text words a tone.
TONE_WORDS = {
    "polite": ("courteous", "formal", "gracious"),
    "casual": ("easygoing", "relaxed", "friendly"),
    "terse": ("direct", "practical", "busy"),
    "dreamy": ("poetic", "thoughtful", "soft-spoken"),
    "lively": ("cheerful", "energetic", "bubbly"),
}
