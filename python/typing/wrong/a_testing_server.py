from mailbearer.testing import Server

Server(flavour="exchange")  # wrong
Server(token_life=5.0)  # wrong
Server(refuse="token_rejcted")  # wrong
print(Server().submitted()[0]["recipient"])  # wrong
