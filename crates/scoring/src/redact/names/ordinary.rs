//! Names that are words too, and words that stand around names; in lower case and without accents.

use std::sync::LazyLock;

use super::super::words::Lexicon;

/// First and last names that are also words of one of the eight languages, such as stand in messages that name nobody. Not every one there
/// is: a name that is a rare word is better redacted too often than too seldom.
pub(super) static ORDINARY: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(concat!(
        // English
        "amber angel april art august autumn baker ball bank banks bell best bill bird bishop black bliss bond branch brook \
         brown buck bush butler carpenter carter case cash chance charity chase chip christian church clay cook cross crystal \
         daisy dancer dawn day dean dick don drew driver earl east english eve faith farmer field fields fish ford fox frank \
         french gale gardener gene german ginger good grace grant gray green grey guy harmony hill holiday holly honor hope \
         hunter iris ivy jack jade jay jean jewel journey joy june justice king knight lake lance lane law legend lily little \
         long lord love major mark mason max may means melody mercy merry miles miller mills misty moon new nick noble norm \
         north ocean old olive pace page park parks pat patience peace pearl penny pool poor pope porter post power powers \
         price prince ray read reed rice rich river rivers rob robin rocky rod rose royal ruby rush rusty sage sandy savage \
         say scout see self sharp short singer skip sky small smart sonny south speed star stern stone storm story street \
         strong sue summer sunny sweet swift temple terry tower trip true trust vale van victor violet wade walker wall ward \
         waters way weeks west white wild will winter wise wish wolf wood woods word words work worth write young ",
        // German
        "abend alt baer bar bauer baum berg bier bitter blum blume braun brot brucke dorf ehrlich eisen engel ernst feld \
         fischer frau freitag freude freund frisch fromm geld glas gold gross grun gut haus hell herbst herr hof hoffnung holz \
         jung kaiser kern kind klein koch konig kraft krug kurz lang licht lieb mann markt montag morgen nachbar nacht neu \
         regen reich reise rest ring ritter rot salz samstag sauer schnee schwarz silber sommer sonne sonntag sorge spitz \
         stadt stahl stark stein sturm suss tag treu vogel wald weg wein weiss zeit ",
        // French
        "aime ange aurore avril barre beau belle blanc bois bon bonne brun carre cerise claire clement colin constant desire \
         dimanche fleur fort franc garde grand gros juste lilas lundi lys mai marchand marine mars noel noir parfait perle \
         petit pierre printemps prudence roi rouge roux samedi vert victoire violette ",
        // Spanish
        "abril alba alegria alto amparo bella bello blanca blanco bravo buena bueno caballero cabello cabeza calvo campos \
         candela cano caro casa casas castillo clara conde consuelo crespo cruz cuesta delgado dolores domingo duque esperanza \
         estrella feliz flores franco fuentes gallo gloria gordo guerra izquierdo julio justo leal luna luz mar marina martes \
         mata mayo mayor mercedes milagros montero moreno palma paloma parra paz pena perla pilar plaza puente real redondo \
         rey rico rios roca rojo rosa rubia rubio rueda salvador seco segura sierra socorro sol soledad tierra torres valle \
         vela ventura vera victoria vida ",
        // Portuguese
        "agosto bela branca branco chaves coelho costa dias falcao farias ferro flor fontes graca janeiro leao leite maio \
         matos melo nobre pinto pires ponte porto prado preto primo reis rocha sales vitoria ",
        // Italian
        "allegra aprile bianca bianchi bianco bruna bruno buono carbone chiara conte conti dolce fedele felice ferri fiore \
         fiori fontana forte fortuna gatti gentile gioia giusto grazia greco longo luce maggio mare marini monte monti natale \
         neri nero oliva onesto piano poli porta presto quinto ricci riva rossi rosso russo sacco sala sale salute sano santi \
         santo secondo serena serra settimo sordi spada speranza stella valente verde verdi villa viola vita volpe ",
        // Dutch
        "bakker bas beste bloem boer bos brug bruin dal dijk floor goed goede groen groot hart huis jet jong jonge kerk klok \
         kok korte lange linden maan meer mei molen nieuw oude pier poort prins roos steen ster sterk veen velde vos wagen \
         water wind wit zand zomer zon zwart ",
        // Polish
        "bialy chudy cichy czarny dobry duzy gora gruby gwiazda jagoda kot krol las lato lis luty madry maj malina maly marzec \
         milosc mlody mucha nadzieja niedziela nowy ostry piatek pogoda pole prosty rzeka slonce sobota sroda stary szybki \
         wesoly wiara wilk wiosna wolny wrona zima zly ",
    ))
});

/// Those of them that are months, days and seasons, and their neighbours.
pub(super) static CALENDAR: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "january february march april may june july august september october november december summer autumn winter sunday \
         mai sommer herbst sonntag montag freitag samstag avril mars dimanche lundi samedi noel \
         abril mayo julio domingo martes maio agosto janeiro aprile maggio natale mei zomer maj luty marzec piatek sobota niedziela \
         sroda wiosna lato zima",
    )
});

/// Words before a month or a day.
pub(super) static TIMES: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "in since from until till of by for to on last next this that every early late mid end before after during through between \
         around about im seit bis ab am ende anfang mitte letzten nachsten en depuis des du au le fin debut desde hasta el del de ate \
         em no di da dal dall fino entro il sinds vanaf tot eind begin op w od do na",
    )
});

/// Titles, and what an agent's record holds instead of a name: never a part of a name.
pub(super) static TITLES: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "mr mrs ms miss mx dr prof professor ing dipl mag msc bsc phd mba jr sr sra srta ii iii iv herr frau herrn fraulein monsieur madame \
         mme mlle senor senora senorita don dona senhor senhora sig signor signora signore dhr mevr meneer mevrouw pan pani panie \
         team support service services customer customers kundenservice kundendienst kunde client cliente klant klient agent agents admin \
         administrator info office sales help helpdesk desk bot system care hotline unknown anonymous anonym visitor nobody none null guest user test account gmbh ltd inc llc sarl \
         the and und y e et",
    )
});

/// Small words inside names: they belong to one between two other words only.
pub(super) static PARTICLES: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "von van der den del dem des della dello dos das zu zum zur vom ter ten las los el al bin ibn de da di do du la le",
    )
});

/// Words that stand directly before a name: titles and greetings.
pub(super) static INTRODUCTIONS: LazyLock<Lexicon> = LazyLock::new(|| {
    Lexicon::of(
        "mr mrs ms miss mx dr prof herr herrn frau monsieur madame mme mlle senor senora srta sra don dona senhor senhora signor signora \
         signore sig dhr mevr meneer mevrouw pan pani panie pana \
         hi hello hey dear thanks hallo liebe lieber geehrte geehrter danke bonjour cher chere salut merci hola estimado estimada querido \
         querida gracias ola caro cara prezado prezada obrigado obrigada ciao gentile buongiorno grazie beste geachte hoi bedankt czesc \
         witam szanowny szanowna drogi droga dzieki agent",
    )
});
