"""The nouns, names and adjectives of the grammar, written as short tables."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere a story can happen, with three things to see there."""

    preposition: str
    name: str
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Being:
    """A person or an animal, with the pronoun it goes by."""

    name: str
    pronoun: str


# Places that English calls by their name alone, and those of which there is only one.
BARE_PLACES = frozenset({"space"})
UNIQUE_PLACES = frozenset(
    {"mountains", "ocean", "sea", "coast", "snow", "sky", "moon", "ruins", "tundra", "savanna"}
)


def _words(table: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in table.replace("\n", ",").split(",") if word.strip())


def _places(table: str) -> tuple[Place, ...]:
    rows = [[cell.strip() for cell in row.split("|")] for row in table.strip().splitlines()]
    return tuple(Place(row[0], row[1], tuple(row[2:])) for row in rows)


PLACES = _places("""
on|island|palm trees|white beach|blue lagoon
on|beach|dunes|warm sand|quiet waves
in|mountains|pine trees|snowy peaks|cold stream
in|mountain village|stone bridge|church tower|steep lanes
in|village|old well|village square|apple trees
in|harbour|fishing boats|lighthouse|wooden pier
in|fishing village|nets|wooden pier|fish market
in|desert|red dunes|oasis|dry rocks
in|city|tall towers|busy streets|city park
in|town|market square|town hall|clock tower
in|forest|oak trees|mossy stones|little stream
in|jungle|green vines|waterfall|giant leaves
on|farm|red barn|hen house|wheat field
in|valley|winding river|green meadows|old mill
on|hill|lonely tree|stone wall|tall grass
by|lake|reeds|rowing boat|still water
by|river|willow trees|old bridge|water mill
in|garden|rose bushes|stone bench|little pond
in|park|playground|duck pond|long benches
in|castle|great hall|tall towers|deep moat
at|lighthouse|spiral stairs|great lamp|black rocks
on|mountain|snowy peak|narrow path|eagle nest
in|cave|dark tunnels|glowing crystals|hidden spring
in|swamp|tall reeds|foggy water|crooked trees
on|ship|tall mast|captain's cabin|white sails
on|train|dining car|long corridor|window seats
at|station|platform|ticket office|station clock
at|airport|runway|gates|control tower
in|school|blackboard|school yard|long corridor
in|library|tall shelves|reading lamps|old books
in|museum|glass cases|marble stairs|old paintings
in|hospital|quiet rooms|white corridor|garden door
in|kitchen|warm oven|copper pots|breakfast table
in|bakery|warm oven|bread baskets|flour sacks
in|cafe|coffee machine|little tables|cake counter
in|restaurant|long tables|open kitchen|wine cellar
in|hotel|front desk|wide balcony|grand stairs
at|market|fruit stalls|flower stands|spice baskets
in|shop|window display|wooden counter|full shelves
in|office|meeting room|copy machine|window desks
in|factory|great machines|loading gate|tall chimney
in|laboratory|glass tubes|humming machines|white tables
in|theatre|red curtain|empty stage|golden balcony
in|circus|big tent|clowns|painted wagons
in|zoo|monkey house|penguin pool|lion gate
in|stadium|green pitch|high stands|bright floodlights
in|meadow|wild flowers|buzzing bees|wooden fence
in|vineyard|green vines|stone cellar|sunny slopes
in|orchard|apple trees|long ladders|fruit baskets
in|ocean|coral reef|deep caves|sea grass
in|sea|coral reef|high waves|sunken ship
on|coast|white cliffs|salt marsh|rocky beach
in|bay|anchored boats|white cliffs|quiet water
in|canyon|red walls|narrow river|stone arches
on|glacier|blue ice|deep cracks|frozen ridge
on|volcano|black rocks|smoking crater|hot springs
in|snow|frozen lake|snowy pines|sledge tracks
in|sky|soft clouds|evening star|flying geese
in|space|silver stars|distant planets|slow comets
on|moon|grey craters|silent rocks|silver dust
on|planet|purple rocks|twin moons|glass hills
on|space station|round windows|solar panels|humming machines
in|kingdom|royal palace|golden gates|green hills
in|palace|throne room|marble stairs|royal garden
in|tower|spiral stairs|high window|iron door
in|cottage|little chimney|garden gate|fireplace
in|house|front door|dusty attic|kitchen window
in|hut|wood pile|small window|fireplace
in|attic|wooden chests|dusty mirror|round window
in|cellar|wine barrels|stone steps|old shelves
in|barn|hay bales|wooden ladder|milk cans
in|street|street lamps|corner shop|parked cars
in|suburb|garden fences|bus stop|quiet lanes
on|bridge|iron lamps|stone arches|river below
on|road|milestones|dusty bushes|wooden signs
in|camp|bright tents|camp fire|canoe landing
in|temple|stone lions|incense bowls|bronze bell
in|monastery|quiet garden|bell tower|old books
in|church|stained windows|church organ|wooden benches
in|rainforest|giant ferns|noisy parrots|brown river
in|savanna|acacia trees|water hole|golden grass
in|prairie|tall grass|wagon tracks|distant hills
in|tundra|frozen ponds|low bushes|reindeer tracks
in|ruins|broken columns|ivy walls|hidden stairs
in|mine|dark tunnels|iron rails|old lanterns
in|port|cargo ships|great cranes|fish market
in|playground|swings|long slide|sand box
in|university|lecture hall|library steps|old courtyard
in|greenhouse|tomato plants|glass roof|orchid pots
""")

ANIMALS = tuple(
    Being(name, "it")
    for name in _words("""
dog, cat, horse, cow, pig, sheep, goat, donkey, hen, rooster, duck, goose, rabbit, mouse, rat
hamster, guinea pig, parrot, canary, pigeon, sparrow, robin, owl, eagle, hawk, crow, raven, swan
stork, heron, seagull, pelican, penguin, puffin, flamingo, peacock, ostrich, turkey, fox, wolf
bear, polar bear, panda, koala, kangaroo, lion, tiger, leopard, cheetah, lynx, elephant, giraffe
zebra, rhino, hippo, monkey, gorilla, chimpanzee, camel, llama, deer, moose, reindeer, squirrel
hedgehog, badger, beaver, otter, raccoon, skunk, mole, bat, turtle, tortoise, lizard, snake
crocodile, frog, toad, salamander, fish, goldfish, shark, whale, dolphin, seal, walrus, octopus
crab, lobster, starfish, jellyfish, seahorse, bee, butterfly, ant, spider, beetle, ladybird
grasshopper, cricket, dragonfly, firefly, snail, worm, puppy, kitten, lamb, pony, calf, foal
dragon, unicorn, dinosaur, phoenix, monster, bird, bull, swallow, caterpillar, wild boar
alligator, antelope, armadillo, baboon, bison, chameleon, cockatoo, cuckoo, dove, eel, falcon
ferret, gecko, gazelle, hare, hornet, hyena, jackal, kingfisher, lark, lemur, meerkat, moth
nightingale, orangutan, panther, partridge, pheasant, piglet, porcupine, quail
salmon, sea lion, sloth, squid, stingray, tadpole, trout, vulture, wasp, weasel, woodpecker, yak
chick, gosling, duckling, hummingbird, mammoth, platypus, scorpion, sardine, tapir, wombat
""")
)

_SHE = """
girl, woman, queen, princess, witch, grandmother, mother, sister, baker, teacher, doctor, nurse
captain, scientist, painter, gardener, singer, pilot, fairy, judge, engineer, astronaut, writer
student, dancer, daughter, aunt, widow, actress, architect, librarian, mermaid, programmer
journalist, photographer, bride, heroine, waitress, chef, potter, ballerina, dentist, empress
goddess, niece, nun, landlady, composer, designer, biologist, swimmer, cyclist, tourist, neighbour
president, manager, schoolgirl, goalkeeper, granddaughter, cousin, weaver, beekeeper, babysitter
"""
_HE = """
boy, man, king, prince, wizard, grandfather, father, brother, fisherman, farmer, sailor, pirate
knight, shepherd, miller, blacksmith, carpenter, hunter, cook, postman, policeman, firefighter
soldier, thief, giant, dwarf, musician, poet, detective, inventor, explorer, merchant, clown
monk, tailor, shoemaker, watchmaker, son, uncle, hermit, driver, lighthouse keeper, magician
ghost, vampire, superhero, cowboy, gnome, elf, child, traveller, stranger, robot, snowman
alien, ninja, viking, mayor, professor, barber, butcher, gardener's son, plumber, lawyer
emperor, goblin, samurai, troll, leprechaun, duke, butler, beggar, nephew, grandson, schoolboy
accountant, baker's boy, bus driver, chimney sweep, conductor, gravedigger, guard, jester, juggler
lumberjack, miner, messenger, parking attendant, philosopher, priest, prisoner, sculptor, spy
taxi driver, train driver, watchman, waiter, winner, toymaker, friend, diver, fireman
"""
PEOPLE = tuple(Being(name, "she") for name in _words(_SHE)) + tuple(
    Being(name, "he") for name in _words(_HE)
)

THINGS = _words("""
boat, sailing boat, train, car, bicycle, bus, tractor, rocket, spaceship, balloon, kite, lamp
lantern, candle, key, clock, watch, book, letter, map, diary, pencil, pen, painting, mirror
window, door, chair, table, bed, blanket, pillow, piano, violin, guitar, drum, flute, trumpet
bell, whistle, radio, telephone, camera, computer, television, machine, wheel, hammer, ladder
rope, bucket, basket, bottle, cup, teapot, kettle, pot, spoon, plate, bowl, cake, loaf of bread
apple, pear, orange, banana, lemon, strawberry, pumpkin, carrot, potato, tomato, onion, pizza
soup, cheese, cookie, sandwich, tree, oak, rose, flower, sunflower, tulip, mushroom, seed, leaf
stone, pebble, shell, pearl, diamond, crown, ring, necklace, coin, treasure, chest, sword
shield, arrow, wand, carpet, hat, coat, shoe, sock, scarf, glove, umbrella, suitcase, backpack
doll, teddy bear, ball, toy, puzzle, puppet, sledge, feather, nest, egg, bone, star, comet
cloud, windmill, parking meter, parking space, traffic light, lift, statue, flag
tent, anchor, compass, telescope, newspaper, photograph, postcard, button, needle, box, ticket
trombone, smartphone, scooter, toaster, pyramid, microscope, magnet, trampoline, skateboard
cactus, keyboard, passport, calendar, xylophone, accordion, yacht, thermometer, pineapple, hamburger
chandelier, vacuum cleaner, calculator, saddle, barrel, brick, broom, brush, cannon, canoe, cart
chocolate cake, cherry, coconut, curtain, donut, dress, drone, engine, envelope, fence, fork
fountain, gate, globe, harp, honey pot, jar, jacket, jewel, jigsaw, knife, lemonade stand
lock, mask, medal, microphone, notebook, paddle, pancake, peach, plum, poster, potion, ribbon
rocking chair, rug, sack, sail, scroll, shovel, snow globe, sofa, spell book, spinning wheel, stool
stove, swing, sweater, throne, time machine, torch, tunnel, turnip, vase, wagon, wallet, watermelon
motorcycle, truck, helicopter, plane, submarine, ferry, tram, taxi, fridge, oven, wishing stone
""")

TOPICS = _words("""
friendship, love, courage, hope, music, time, winter, summer, spring, autumn, kindness, honesty
patience, magic, freedom, money, food, work, school, science, history, travel, football, cooking
coffee, tea, bread, chocolate, art, technology, artificial intelligence, peace, luck, silence
memory, adventure, home, family, happiness, loneliness, sleep, fear, trust, justice, beauty
nature, gardening, swimming, dancing, singing, reading, writing, mathematics, machine learning
cloud computing, parking, fishing, sailing, skiing, chess, tennis, basketball, cycling, hiking
death, life, night, light, water, fire, sport, health, christmas, growing up, forgiveness
""")

NAMES = _words("""
Mia, Tom, Anna, Ben, Clara, David, Emma, Felix, Grace, Henry, Ida, Jack, Kate, Leo, Lily, Max
Nina, Oscar, Paul, Rosa, Sam, Tina, Victor, Zoe, Alice, Bob, Carlos, Diana, Elias, Fatima
George, Hannah, Ivan, John, Julia, Karl, Laura, Lucy, Maria, Mark, Martin, Mary, Nora, Olga
Peter, Ravi, Ruby, Sarah, Simon, Sofia, Theo, Yuki, Amir, Bruno, Chloe, Luna, Noah, Aisha
""")

BEING_ADJECTIVES = _words("""
little, young, old, brave, lazy, curious, clever, kind, shy, lonely, happy, sad, hungry, tired
proud, friendly, cheerful, quiet, small, big, gentle, funny, lost, wise, busy, grumpy, angry
magical, talking, sleepy, invisible, beautiful, strange, nervous, polite, strong, tiny, famous
""")
THING_ADJECTIVES = _words("""
little, old, red, blue, green, yellow, golden, silver, broken, new, strange, small, big, magic
lost, forgotten, beautiful, rusty, white, black, tiny, huge
""")
PLACE_ADJECTIVES = _words("""
quiet, lonely, small, old, beautiful, distant, hidden, sunny, wild, strange, famous, far away
""")
OBJECTS = _words("""
a golden key, an old map, a silver coin, a blue feather, a letter without a name, a small bell
a broken clock, a round white stone, a tiny door, a wooden box, a forgotten book, a warm lantern
a red scarf, a glass bottle, a paper boat, a secret path, a shining shell, a lost glove
""")
UNKNOWN_NOUNS = _words("""
algorithm, avocado, bagpipe, ballot, bamboo, barometer, blockchain, broccoli, bulldozer
capybara, catapult, cauliflower, cinnamon, cobra
committee, contract, crossbow, database, democracy, elbow, election, electron,
enzyme, espresso, eyebrow, fungus, galaxy, gargoyle, geometry, giraffe keeper, gondola
gravity, harpoon, hedge fund, hurricane season, iguana, inflation, invoice, jaguar
jazz, judo, kernel, ketchup, kimono, labyrinth, lasagne, lawn mower, leopard seal
linguist, logarithm, macaroni, marathon, meteorite, molecule
mosquito, motorway, narwhal, neutron, noodle, novel, nuclear reactor, olive oil, opera, orchestra
origami, oxygen, paradox, parliament, peanut, periscope, photon,
policy, protein, quantum physics, quiz show, rhubarb, saxophone,
semaphore, senator, server rack, shampoo, sphinx, spreadsheet,
startup, subway, supermarket, sushi, syntax, tango, tariff, tornado chaser
trumpet solo, tsunami, turbine, ukulele, vaccine, vector
velociraptor, vitamin, volcano god, walnut, web site, werewolf, yeti
yoga, yogurt, zeppelin, zombie, database administrator, parking ticket, graphics card
""")
