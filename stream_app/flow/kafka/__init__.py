"""Kafka through librdkafka. The only room that imports confluent_kafka.

clients.py       settings → client configuration; errors → our tree
port.py          what the loop needs of Kafka, and the two ways to commit: in a transaction, or by the reader
publisher.py     an idempotent producer for commands and publishers
reader.py        a topic as an iterator of deliveries, for people and tests
admin.py         topics and offsets, made and checked
"""
