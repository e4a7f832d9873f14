"""Raw material of the two reading tasks: reviews with an opinion, and news to sum up."""


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


def _words(table: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in table.replace("\n", ",").split(",") if word.strip())


ASPECTS = _words("""
food, service, film, movie, plot, acting, music, book, story, ending, hotel, room, bed, staff
view, breakfast, dinner, pizza, soup, coffee, phone, screen, battery, camera, sound, keyboard
laptop, product, quality, price, delivery, packaging, app, game, show, concert, restaurant, waiter
place, trip, flight, seat, car, shop, course, teacher, support, website, update, dress, jacket
""")
GOOD = _words("""
good, great, wonderful, excellent, fantastic, amazing, lovely, perfect, brilliant, beautiful
delicious, superb, pleasant, impressive, outstanding, charming, fine, awesome, very good
really nice, nicer than expected, better than expected, worth every cent, not bad at all
simply the best, a joy, a pleasure, top, flawless, incredibly good
""")
BAD = _words("""
bad, terrible, awful, horrible, poor, boring, disappointing, disgusting, dreadful, ugly, broken
useless, dirty, rude, cheap and nasty, slow, too expensive, not good, not good at all, very bad
really bad, worse than expected, a waste of money, a disaster, a joke, unacceptable
not worth it, the worst, full of errors, annoying, mediocre
""")
GOOD_CLAUSES = _lines("""
I loved it
I loved every minute of it
I would buy it again
We will come back
Highly recommended
I can recommend it to everyone
Best day of my life
It made me smile
We had a great time
Five stars from me
I am very happy with it
It works perfectly
I enjoyed it a lot
My kids loved it
Everything was just right
It exceeded my expectations
What a wonderful surprise
I like it very much
""")
BAD_CLAUSES = _lines("""
I hated it
I hated every minute of it
I would never buy it again
We will not come back
Do not buy this
I cannot recommend it
Worst day of my life
It made me angry
We had a terrible time
One star is too much
I am very unhappy with it
It stopped working after a day
I want my money back
My kids hated it
Everything went wrong
I regret buying it
What a disappointment
I fell asleep after ten minutes
Stay away
I did not like it
""")
SENTIMENT_PROMPTS = _lines("""
Is this review positive or negative: {t}
Is this review positive or negative? {t}
Is the following review positive or negative? {t}
Positive or negative? {t}
sentiment: {t}
Sentiment analysis: {t}
What is the sentiment of this review? {t}
What is the sentiment of the following text: {t}
Classify the sentiment: {t}
Classify as positive or negative: {t}
Review: {t} Sentiment:
Review: {t} Is this review positive or negative?
{t} Is this positive or negative?
Is this sentence positive or negative: {t}
Did the customer like it? {t}
""")

EVENTS = _words("""
opened a new shop, found a silver coin, lost a red scarf, built a small boat, won the first prize
saved a little dog, planted a hundred trees, painted a large picture, wrote a long letter
repaired the old clock, sold the last bicycle, baked a giant cake, saw a strange light
heard a mysterious song, caught a big fish, cooked soup for everyone, told a funny story
bought a white horse, broke a window, met an old friend, discovered a hidden door
started a new school, missed the last bus, found a treasure map, sang a beautiful song
stopped a thief, read a book to the children, fell into the water, made a wooden toy
forgot a blue suitcase, drew a map of the stars, parked a yellow car
""")
NEWS_OPENINGS = _lines("""
On Monday {who} {event} {at}.
Yesterday {who} {event} {at}.
Last week {who} {event} {at}.
This morning {who} {event} {at}.
{At}, {who} {event} last night.
{Who} {event} {at} on Sunday.
In spring {who} {event} {at}.
""")
NEWS_FILLERS = _lines("""
Many people came to look.
Nobody had expected it.
The neighbours talked about it all day.
It was a cold and windy day.
The whole thing took less than an hour.
A newspaper wrote about it.
Some people did not believe it at first.
The children were very excited.
It had rained all night.
Afterwards there was tea and cake.
"I am still surprised," said a neighbour.
The mayor sent a card.
It will be remembered for a long time.
Nobody was hurt.
The weather was fine and the streets were full.
Later everyone went home happy.
It was the first time in many years.
""")
SUMMARY_PROMPTS = _lines("""
summarize: {t}
Summarize: {t}
summarise: {t}
Summarize this text: {t}
Summarize the following text: {t}
Summarize in one sentence: {t}
Please summarize this: {t}
Write a short summary: {t}
Sum up: {t}
TL;DR: {t}
{t} TL;DR
{t} Summary:
Give me a summary of this: {t}
What is this text about? {t}
What happened? {t}
""")
