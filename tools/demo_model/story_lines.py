"""The sentences that stories and poems are put together from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weather:
    """A kind of weather: how people ask for it, its mood, and sentences that open a story."""

    phrases: tuple[str, ...]
    adjective: str
    mood: str
    mentions: tuple[str, ...]
    openings: tuple[str, ...]


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


def _weathers(table: str) -> tuple[Weather, ...]:
    weathers = []
    for block in table.strip().split("\n\n"):
        head, *openings = block.splitlines()
        phrases, adjective, mood, mentions = (cell.strip() for cell in head.split("|"))
        weathers.append(
            Weather(
                tuple(phrases.split(", ")),
                adjective,
                mood,
                tuple(mentions.split(", ")),
                tuple(openings),
            )
        )
    return tuple(weathers)


# Per block: the ways to ask | the adjective | the mood | words that show it, then the openings.
WEATHERS = _weathers("""
beautiful weather, lovely weather, perfect weather | beautiful | good | beautiful, sun
It was a beautiful morning {at}, and the sun shone.
The sun rose {at}, and it was a beautiful day.

good weather, nice weather, fine weather | fine | good | fine, sun, good
The day began fine and bright {at}.
At last the good weather came back {at}.

bad weather, terrible weather, awful weather | grey | bad | bad, storm, grey, rain
The weather {at} had been bad for days, and the sky was grey.
Grey clouds hung low {at}, and it was bad weather.

weather, the weather, changing weather | changeable | odd | weather
The weather {at} could never make up its mind.
Sun in the morning, rain at noon, wind at night: that was the weather {at}.

rain, rainy weather, a rainy day | rainy | bad | rain, rainy, raining
It was raining {at} all day long.
The rain came softly {at} and would not stop.

sunshine, the sun, sunny weather, a sunny day | sunny | good | sun, sunny, sunshine
Golden sunshine lay {at}, and even the shadows were warm.
The sun came out {at} and painted everything gold.

snow, snowy weather, a snowy day, snowfall | snowy | odd | snow, snowy
The first snow had fallen {at}, and the world was white and still.
Snow fell {at} in big soft flakes.

a storm, stormy weather, a stormy night, storms | stormy | bad | storm, stormy
A great storm broke {at}, and the wind howled.
When the storm reached its height, nobody {at} could sleep.

wind, windy weather, a windy day | windy | odd | wind, windy
A strong wind blew {at} and carried away hats and leaves.
The wind woke up early {at} and would not sit still.

fog, foggy weather, a foggy morning, mist | foggy | odd | fog, foggy, mist
Thick fog lay {at}, and every sound came from far away.
In the morning fog nobody {at} could see very far.

thunder, a thunderstorm, lightning | thundery | bad | thunder, lightning
Thunder rolled {at}, and lightning lit up the dark sky.
First came the lightning, and then the thunder shook everything {at}.

heat, hot weather, a hot day, a heatwave | hot | odd | hot, heat
It was so hot {at} that nobody wanted to move.
The heat lay {at} like a heavy blanket.

cold, cold weather, a cold day, a cold night | cold | bad | cold
It was very cold {at}, and every breath became a little cloud.
The cold came early {at} that year.

frost, ice, freezing weather, icy weather | frosty | odd | frost, ice, frosty
The frost had painted silver flowers {at}.
The ice {at} was shining in the morning light.

a rainbow, rainbows | bright | good | rainbow
After the rain a wide rainbow stood {at}.
One evening a rainbow appeared {at}, brighter than any before.

clouds, cloudy weather, a cloudy day | cloudy | odd | cloud, clouds, cloudy
White clouds drifted {at} like slow ships.
The clouds {at} looked like sheep, and then like towers.

a sunrise, dawn, early morning | bright | good | dawn, sunrise
At dawn the sky {at} turned pink and gold.
Nobody {at} had ever seen such a sunrise.

a sunset, a warm evening | warm | good | sunset, evening
The sunset {at} lasted longer than usual that evening.
In the evening the sunset {at} painted everything red.

a hurricane, hurricanes | stormy | bad | hurricane, storm
A hurricane was coming, and everyone {at} was afraid.
The hurricane came in the night, and nobody {at} could sleep.

drought, dry weather | dry | bad | dry, drought
It had not rained {at} for months, and the ground was dry.
The long drought {at} made everyone quiet.

a warm breeze, mild weather, warm weather | warm | good | warm, breeze
The warm breeze {at} smelled of flowers.
The air {at} was as warm as in summer.

a starry night, the stars, a full moon | clear | good | star, stars, moon
The stars {at} had never been so bright.
A full moon rose {at}, and the stars came out to meet it.
""")

# {p}: somebody; {detail}: something to see there.
WEATHER_MIDDLES = {
    "good": _lines("""
Near the {detail}, {p} laughed and sang.
{P} walked slowly past the {detail}.
Children played near the {detail} all day.
Birds sang near the {detail}, and {p} sang along.
{P} sat down near the {detail} and smiled.
"We should remember this," said {p}, looking at the {detail}.
"""),
    "bad": _lines("""
Only {p} went outside, to look after the {detail}.
Near the {detail}, {p} made a pot of hot tea.
{P} lit a lamp near the {detail}.
"It will pass," said {p} near the {detail}.
Everyone went home, but {p} stayed near the {detail}.
{P} waited near the {detail} and counted the hours.
"""),
    "odd": _lines("""
{P} stopped near the {detail} and looked up in wonder.
Near the {detail}, {p} met an old friend.
{P} had never seen the {detail} look so strange and new.
"Something will happen today," said {p}.
Even the {detail} seemed to wait for something.
Only {p} was not surprised, and smiled at the {detail}.
"""),
}
WEATHER_ENDINGS = {
    "good": _lines("""
It was a day that nobody wanted to end.
In the evening everyone agreed that life was good.
Nobody could remember a finer day.
That night everyone slept deeply and had good dreams.
And so a simple day became a happy memory.
"""),
    "bad": _lines("""
In the morning the sky was clear again.
By evening it was over, and the first stars came out.
They had been afraid, but they had not been alone.
Since that day everyone helps each other.
And when the sun came back, everyone smiled.
"""),
    "odd": _lines("""
The next day it was gone, but people still talk about it.
It was a small wonder, and it belonged to everyone.
Nobody could explain it, and nobody needed to.
That evening everything was calm and full of peace.
Some days are like that, and they are the best ones.
"""),
}

# {a}: "a little dog"; {s}: "the dog"; {p} {o} {h}: its pronouns; {at}: the place.
BEING_OPENINGS = _lines("""
{A} lived {at}.
{A} lived {at}, close to the {detail}.
Once upon a time {a} lived {at}.
Once there was {a} who lived {at}.
Far away, {at}, lived {a}.
{At}, not far from the {detail}, lived {a}.
One {sky} morning {a} woke up {at}.
There was once {a} {at}, and everybody liked {o}.
{A} had always wanted to live {at}.
Nobody {at} knew where {a} had come from.
One {sky} day {a} was all alone {at}.
{A} was looking for a friend {at}.
It was a {sky} day {at}, and {a} was out for a walk.
""")
SKY_OPENINGS = tuple(line for line in BEING_OPENINGS if "{sky}" in line)
FIND_MIDDLES = _lines("""
One day {p} found {object} near the {detail}.
One day {p} followed strange footprints and found {object}.
{P} had a secret: {object}, hidden near the {detail}.
In the grass near the {detail}, {p} found {object}.
{P} dreamed of {object}, and in the morning it was there.
""")
FIND_ENDINGS = _lines("""
It was the beginning of a great adventure.
{S} kept the secret and never told anyone.
Nobody believed the story, but it was true.
Since then {s} has had all the luck in the world.
"Who may have lost it?" asked {s}, and began to search.
Now {s} was the happiest of all.
""")
ALONE_MIDDLES = _lines("""
One night {p} heard a soft song near the {detail}.
Every evening {p} sat near the {detail} and watched the clouds.
{P} wanted to see the whole world, but {p} was afraid to leave.
Everyone said that {p} was not made for great adventures.
One day {p} fell asleep near the {detail} and had a strange dream.
One {sky} evening {p} got lost near the {detail}.
{P} wanted to be brave, but the {detail} looked so dark at night.
""")
ALONE_ENDINGS = _lines("""
In the end {p} was braver than anyone had thought.
That night {s} came home tired and very happy.
Since then {s} has smiled every single day.
After that, {s} was never afraid again.
And if you are very quiet, you can still see {o} there.
"Tomorrow I will try again," thought {s}, and smiled.
So {s} learned that small steps lead far.
""")
FRIEND_MIDDLES = _lines("""
One day {p} met {b} near the {detail}, and the two began to talk.
When a storm came, {p} saved {b} from the rain.
{P} lost {h} way near the {detail}, but {b} helped {o} home.
One day {b} asked {o} for help.
{P} shared {h} supper with {b} near the {detail}.
{P} wanted to learn to sing, and {b} was a patient teacher.
{B} and {s} found {object} near the {detail}.
""")
FRIEND_ENDINGS = _lines("""
From that day on they were the best of friends.
Together they laughed until the stars came out.
They shared everything, even their last piece of bread.
Since then nobody has ever seen one without the other.
"Stay with me," said {s}, and so they stayed together.
In the end they both had what they needed most: a friend.
They still meet there every evening.
""")

PAIR_OPENINGS = _lines("""
{A} and {b} lived {at}.
Once upon a time {a} and {b} lived {at}.
{At}, near the {detail}, lived {a} and {b}.
One {sky} day {a} met {b} {at}.
{A} and {b} were neighbours {at}.
""")
PAIR_MIDDLES = _lines("""
At first they did not like each other, but then a storm came.
Every day they argued about who owned the {detail}.
One morning they found {object} near the {detail}.
They wanted to see the world, so they packed some bread and left.
One of them was fast and the other was wise.
They built a small house near the {detail}.
""")
PAIR_ENDINGS = _lines("""
In the end they became the best of friends.
They learned that two can do what one cannot.
From then on they shared everything.
And they laughed about it for many years.
Today nobody can imagine one without the other.
""")

THING_OPENINGS = _lines("""
{At} there was {a} that nobody wanted.
{A} lay forgotten {at}, close to the {detail}.
Long ago somebody left {a} {at}.
Everyone {at} knew the story of {a}.
One {sky} morning {a} appeared {at}.
Once upon a time there was {a} {at}.
{A} was the pride of everyone {at}.
""")
THING_MIDDLES = _lines("""
One day {b} found it and took care of it.
{B} looked at it every day and dreamed of distant lands.
Children said that it could make a wish come true.
{B} repaired it and gave it a new place near the {detail}.
It had waited for many years, until {b} came along.
One night {b} heard it whisper near the {detail}.
Nobody knew who had made it, not even {b}.
""")
THING_ENDINGS = _lines("""
Today everybody is proud of it.
Since then it has brought luck to everyone.
It was not worth much, but it was loved.
And that is how {s} became famous.
Nobody ever called {s} useless again.
Some say that it is still there.
In the end {s} changed everything.
""")

TOPIC_OPENINGS = _lines("""
{At}, {a} knew everything about {topic}.
{A} {at} wanted to learn about {topic}.
Everyone {at} talked about {topic}, but only {a} understood it.
One {sky} evening {a} told the children {at} about {topic}.
"What do you know about {topic}?" asked {a} {at}.
Long ago {a} came to look for {topic} {at}.
""")
TOPIC_MIDDLES = _lines("""
{P} asked everyone near the {detail}, but nobody could explain.
{P} sat near the {detail} and thought about it all night.
One day {p} met {b}, who smiled and said nothing.
{P} wrote it all down and hid the pages near the {detail}.
The answer came slowly, like the light in the morning.
{P} practised every day near the {detail}.
""")
TOPIC_ENDINGS = _lines("""
In the end {p} knew that {topic} begins with small things.
Since then there is a little more {topic} in the world.
Some lessons need a lot of time.
And everybody who came by learned something new.
It was worth every minute.
Now {p} teaches it to anyone who asks.
""")

# {x}: "the dog" or a topic; rhymes never fall on it.
COUPLETS = _lines("""
{X} is near, the sky is wide, and all the stars are on our side.
I think of {x} when days are long, and then the wind becomes a song.
When evening falls and birds take flight, I dream of {x} all through the night.
Oh {x}, so dear to me, as deep and wonderful as the sea.
The world is big, the road is slow, but {x} is all I need to know.
Who sings of {x} in the rain will find the summer once again.
For {x} I wrote this little rhyme, a tiny gift, outside of time.
The moon looked down, the night was clear, and {x} made the morning dear.
""")
PLACE_COUPLETS = _lines("""
{At} the morning light is new, the grass is bright with drops of dew.
{At} I found a quiet place, with wind and sunlight on my face.
{At} the day is slow and mild, and every heart is like a child.
{At} the stars are never far, and each of us can pick a star.
""")
