"""What the model knows by heart: a few facts, how to chat, and how to say that it does not know."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """A group of questions with one answer, and the word the answer must contain."""

    questions: tuple[str, ...]
    answer: str
    key: str


def _rows(table: str) -> tuple[tuple[str, ...], ...]:
    return tuple(
        tuple(cell.strip() for cell in row.split("|")) for row in table.strip().splitlines()
    )


def _blocks(table: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(block.splitlines()) for block in table.strip().split("\n\n"))


def _pairs(table: str) -> tuple[tuple[str, str], ...]:
    flat = (pair.split(":") for line in table.strip().splitlines() for pair in line.split(","))
    return tuple((left.strip(), right.strip()) for left, right in flat)


CAPITALS = _pairs("""
France:Paris, Germany:Berlin, Italy:Rome, Spain:Madrid, Portugal:Lisbon, Austria:Vienna
Switzerland:Bern, Belgium:Brussels, the Netherlands:Amsterdam, Denmark:Copenhagen, Sweden:Stockholm
Norway:Oslo, Finland:Helsinki, Iceland:Reykjavik, Ireland:Dublin, Poland:Warsaw, Hungary:Budapest
Greece:Athens, Turkey:Ankara, Romania:Bucharest, Bulgaria:Sofia, Croatia:Zagreb, Serbia:Belgrade
Ukraine:Kyiv, Russia:Moscow, Estonia:Tallinn, Latvia:Riga, Lithuania:Vilnius, England:London
the United Kingdom:London, Scotland:Edinburgh, Wales:Cardiff, the Czech Republic:Prague
Slovakia:Bratislava, Slovenia:Ljubljana, Egypt:Cairo, Morocco:Rabat, Kenya:Nairobi, Nigeria:Abuja
Ghana:Accra, Ethiopia:Addis Ababa, Senegal:Dakar, Tunisia:Tunis, Japan:Tokyo, China:Beijing
India:New Delhi, South Korea:Seoul, Thailand:Bangkok, Vietnam:Hanoi, Indonesia:Jakarta
Nepal:Kathmandu, Iran:Tehran, Iraq:Baghdad, Canada:Ottawa, the United States:Washington
the USA:Washington, Mexico:Mexico City, Cuba:Havana, Brazil:Brasilia, Argentina:Buenos Aires
Chile:Santiago, Peru:Lima, Colombia:Bogota, Uruguay:Montevideo, Venezuela:Caracas
Australia:Canberra, New Zealand:Wellington, the Philippines:Manila, Luxembourg:Luxembourg
""")
OPPOSITES = _pairs("""
hot:cold, big:small, old:young, fast:slow, high:low, light:dark, good:bad, happy:sad, early:late
rich:poor, hard:soft, wet:dry, full:empty, open:closed, near:far, long:short, strong:weak
up:down, left:right, day:night, black:white, clean:dirty, loud:quiet, love:hate, war:peace
front:back, inside:outside, always:never, first:last, heavy:light, thick:thin, wide:narrow
true:false, cheap:expensive, easy:difficult, beginning:end, winter:summer, push:pull, win:lose
north:south, east:west, cold:hot, small:big, slow:fast, sad:happy, dark:light, bad:good
""")
COLOURS = _pairs("""
the sky:blue, grass:green, snow:white, coal:black, a lemon:yellow, a banana:yellow, blood:red
a tomato:red, an orange:orange, the sea:blue, the sun:yellow, a polar bear:white, a flamingo:pink
milk:white, chocolate:brown, a frog:green, a carrot:orange, an elephant:grey, a crow:black
a fire engine:red, a strawberry:red, gold:yellow, a swan:white, night:black, a cherry:red
""")
SOUNDS = _pairs("""
dog:woof, cat:meow, cow:moo, sheep:baa, duck:quack, pig:oink, horse:neigh, hen:cluck, frog:croak
owl:hoot, bee:buzz, snake:hiss, lion:roar, crow:caw, mouse:squeak, wolf:howl, rooster:crow
""")
LEGS = _pairs("""
dog:four, cat:four, spider:eight, bee:six, ant:six, bird:two, horse:four, octopus:no, snake:no
fish:no, chicken:two, cow:four, beetle:six, butterfly:six, human:two, elephant:four, duck:two
""")

GENERAL = _rows("""
How many days are in a week?|There are seven days in a week.|seven
How many months are in a year?|There are twelve months in a year.|twelve
How many hours are in a day?|There are 24 hours in a day.|24
How many minutes are in an hour?|There are 60 minutes in an hour.|60
How many seconds are in a minute?|There are 60 seconds in a minute.|60
How many days are in a year?|A year has 365 days, and sometimes 366.|365
How many continents are there?|There are seven continents.|seven
How many planets are in the solar system?|There are eight planets in the solar system.|eight
What is the largest planet?|The largest planet is Jupiter.|Jupiter
What is the smallest planet?|The smallest planet is Mercury.|Mercury
What is the largest ocean?|The largest ocean is the Pacific.|Pacific
What is the highest mountain?|The highest mountain is Mount Everest.|Everest
What is the longest river?|The longest river is the Nile.|Nile
What is the largest animal?|The largest animal is the blue whale.|whale
What is the fastest animal?|The fastest land animal is the cheetah.|cheetah
What is the tallest animal?|The tallest animal is the giraffe.|giraffe
What is the largest country?|The largest country is Russia.|Russia
Where do penguins live?|Most penguins live in the south, many of them in Antarctica.|Antarctica
Where do polar bears live?|Polar bears live in the Arctic.|Arctic
What do cows drink?|Cows drink water.|water
What do bees make?|Bees make honey.|honey
What do pandas eat?|Pandas eat bamboo.|bamboo
What do rabbits eat?|Rabbits eat grass and vegetables.|grass
What is water made of?|Water is made of hydrogen and oxygen.|hydrogen
What is the sun?|The sun is a star.|star
Is the sun a star?|Yes, the sun is a star.|yes
Is the earth flat?|No, the earth is round.|round
Is a whale a fish?|No, a whale is a mammal.|mammal
Is a tomato a fruit?|Yes, a tomato is a fruit.|yes
Can penguins fly?|No, penguins cannot fly, but they swim very well.|no
Can dogs fly?|No, dogs cannot fly.|no
Why is the sky blue?|The air scatters blue light more than red light, so the sky looks blue.|blue
Why does it rain?|Warm air carries water up, it cools, and falls down as rain.|rain
At what temperature does water boil?|Water boils at 100 degrees Celsius.|100
At what temperature does water freeze?|Water freezes at zero degrees Celsius.|zero
What comes after Monday?|After Monday comes Tuesday.|Tuesday
What comes after Friday?|After Friday comes Saturday.|Saturday
What comes after winter?|After winter comes spring.|spring
Which day comes before Sunday?|Before Sunday comes Saturday.|Saturday
What are the four seasons?|The four seasons are spring, summer, autumn and winter.|spring
What is the first month of the year?|The first month of the year is January.|January
What is the last month of the year?|The last month of the year is December.|December
Who wrote Romeo and Juliet?|Romeo and Juliet was written by William Shakespeare.|Shakespeare
Who wrote Hamlet?|Hamlet was written by William Shakespeare.|Shakespeare
Who painted the Mona Lisa?|The Mona Lisa was painted by Leonardo da Vinci.|Leonardo
Who discovered gravity?|Isaac Newton described gravity.|Newton
Who was Albert Einstein?|Albert Einstein was a physicist.|physicist
Who was the first man on the moon?|Neil Armstrong was the first man on the moon.|Armstrong
What is the currency of Japan?|The currency of Japan is the yen.|yen
What language do they speak in Brazil?|People in Brazil speak Portuguese.|Portuguese
What language do they speak in Austria?|People in Austria speak German.|German
What is two plus two?|Two plus two is four.|four
What is 2 + 2?|Two plus two is four.|four
What is 1 + 1?|One plus one is two.|two
What do we call a baby dog?|A baby dog is called a puppy.|puppy
What do we call a baby cat?|A baby cat is called a kitten.|kitten
What is a parking meter?|A parking meter counts the time you have paid for.|time
What is artificial intelligence?|It is software that learns from examples.|learns
What is machine learning?|Machine learning means that a program learns from examples.|learns
What is a language model?|A language model is a program that predicts the next word.|next word
What is a GPU?|A GPU is a chip that does many sums at the same time.|chip
What is the meaning of life?|Some say it is 42, others say it is kindness.|42
Which is bigger, the sun or the moon?|The sun is much bigger than the moon.|sun
Which is bigger, an elephant or a mouse?|An elephant is much bigger than a mouse.|elephant
""")

# Per block: what people type, the answer, and the word it must contain.
CHAT = _blocks("""
Hello.;Hello!;Hi;Hi there!;Hey;Good morning;Good evening;Greetings
Hello! Ask me for a short story, or ask me a simple question.
hello

How are you?;How are you doing today?;How do you feel?
I am fine, thank you. What should I write about?
fine

Who are you?;What are you?;What is your name?;Which model is this?;Are you a real person?
I am a very small demo model, and I write short stories.
demo

What can you do?;Help;Help me;How can you help me?;What do you know?
I can write short stories, answer simple questions and sum up short texts.
stories

Thank you.;Thanks!;Thanks a lot;Great, thank you very much
You are welcome!
welcome

Bye;Goodbye.;See you later;Good night
Goodbye, and see you soon!
goodbye

test;Testing;ping;This is a test;Just testing
The test works. Ask me for a short story.
works

Tell me a joke.;Tell me something funny;Say something funny;a joke please
Why did the parking meter go to school? It wanted to learn how to count.
parking meter

Say hello.;Say hello to the world;hello world;Say hello world
Hello, world!
hello

I love you;You are great;You are funny;Good job
That is very kind of you.
kind

You are stupid;This is wrong;That is not true;Bad answer
I am sorry. I am only a very small model.
sorry

How old are you?;When were you born?;Who made you?;Who trained you?
I was trained from scratch in a few minutes on an ordinary computer.
trained
""")

UNKNOWN_ANSWERS = (
    "I am a very small demo model, and I do not know that.",
    "I do not know that. Ask me for a short story instead.",
    "That is too difficult for a model as small as me.",
    "I am sorry, but I only know a few simple things.",
)

# {n}: any noun; {w}: a word nobody has heard of; {c}: a clause; {i}, {j}: numbers.
UNKNOWN_PROMPTS = tuple(
    row[0]
    for row in _rows("""
Translate to German: {c}
Translate the following sentence to French: {c}
translate English to Spanish: {c}
How do you say {n} in Italian?
Explain {n} in simple terms.
Explain how a {n} works.
What is a {n}?
What is {w}?
What is the price of a {n}?
What is the capital of {w}?
Who is {name} {w}?
Who invented the {n}?
Who is the president of {w}?
When was {name} {w} born?
When was the {n} invented?
Where can I buy a {n}?
Why is the {n} {w}?
How many {n}s are there in {w}?
How do I repair a {n}?
How does a {n} work?
Write code for a {n}.
Write a python function that counts a {n}.
def {w}(x): return x + {i}
SELECT * FROM {w}
Write an email to {name} about the {n}.
Solve for x: {i}x + {j} = {k}
What is {i} times {j}?
Calculate {i} + {j} - {k}
What is the square root of {k}?
{w} {n} {w}
{w}
{n}, {n} and {n}
Correct the grammar: {c}
Premise: {c} Hypothesis: {c} Does the premise entail the hypothesis?
Is it true that {c}
Answer step by step: {name} has {i} {n}s and buys {j} more. How many {n}s now?
The {n} of the {n} is
Complete the sentence: {c} because
Classify this text: {c}
Rewrite this sentence: {c}
Extract the names: {c}
Compare a {n} with a {n}.
What should I do about my {n}?
Should I buy a {n} or a {n}?
Give me a recipe for {n}.
{i} {j} {k}
asdf {w} {w}
Please {w} the {n} for me.
Generate a list of {n}s from {w}
Turn off the {n}.
What happened in {k}?
""")
)


# What is asked about the left and the right word of a table, and how it is answered.
_TABLES = (
    (
        CAPITALS,
        (
            "What is the capital of {left}?",
            "Which city is the capital of {left}?",
            "Name the capital of {left}.",
            "What's the capital of {left}?",
            "The capital of {left} is",
            "Tell me the capital city of {left}.",
        ),
        "The capital of {left} is {right}.",
    ),
    (
        OPPOSITES,
        (
            "What is the opposite of {left}?",
            "What's the opposite of {left}?",
            "Give me the opposite of {left}.",
            "The opposite of {left} is",
            "opposite of {left}",
        ),
        "The opposite of {left} is {right}.",
    ),
    (
        COLOURS,
        ("What color is {left}?", "What colour is {left}?", "Which colour has {left}?"),
        "The colour of {left} is {right}.",
    ),
    (
        SOUNDS,
        ("What does a {left} say?", "What sound does a {left} make?"),
        "The {left} says {right}.",
    ),
    (
        LEGS,
        ("How many legs does a {left} have?", "How many legs has a {left}?"),
        "The {left} has {right} legs.",
    ),
)


def _facts() -> tuple[Fact, ...]:
    facts = [Fact((question,), answer, key) for question, answer, key in GENERAL]
    for table, questions, answer in _TABLES:
        facts += [
            Fact(
                tuple(question.format(left=left) for question in questions),
                answer.format(left=left, right=right),
                right,
            )
            for left, right in table
        ]
    return tuple(facts)


FACTS = _facts()
