"""Names for invented facts: one word each, no name in two lists, so that a name tells its kind."""


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PEOPLE = _names(
    """Ada Abel Alma Amir Anna Arun Bela Boris Bruno Carla Cato Chen Clara Cyrus Dana Dora Edith Elias Elsa Emil
    Enzo Erik Esra Fatima Felix Flora Gita Greta Hana Hugo Ida Igor Ines Ivan Jana Jonas Judit Kaito Karin Kofi
    Lars Leila Lena Luca Maja Marco Mina Nadia Nils Nora Olga Omar Otto Petra Rana Remy Rosa Samir Tariq Vera"""
)
COMPANIES = _names(
    """Acadia Borel Brixo Cantor Corvex Dalmec Delfin Elvaro Fenwick Ferrox Galvin Halden Helvex Inova Jorvik Kelmar
    Kestrel Lumora Mavex Nimbus Norvex Ocelot Orbis Palmer Pyxis Quanta Relvo Sabrix Solvar Tamrac Tessel Ultima
    Valdor Vantex Verido Wexler Xandra Yarrow Zenith Zephyr"""
)
CITIES = _names(
    """Accra Amman Athens Basel Berlin Bogota Cairo Cusco Dakar Delhi Dublin Geneva Hanoi Havana Helsinki Izmir
    Jaipur Kyoto Lagos Lima Lisbon London Lyon Madrid Milan Minsk Nairobi Osaka Oslo Paris Porto Prague Quito Riga
    Rome Seoul Sofia Tunis Vienna Warsaw"""
)
COUNTRIES = _names(
    """Argentina Austria Belgium Bolivia Brazil Bulgaria Canada Chile China Croatia Denmark Egypt Estonia Finland
    France Ghana Greece Iceland India Ireland Italy Japan Kenya Latvia Mexico Norway Peru Poland Spain Turkey"""
)
