"""A simulated network of SNMP agents on loopback: for the demo, for training, for tests.

traffic      how much is carried: pure, exact integers at any moment
network      who carries whose traffic, over which circuit and which interface
snmprec      recordings of real agents
mib          the objects an agent has, in lexicographic order
agent        what an agent answers: datagram in, datagram out
scenario     what happens, and when
server       the sockets: Lab
history      a past that joins the present
"""
