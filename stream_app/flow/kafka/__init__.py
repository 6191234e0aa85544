"""Kafka through librdkafka. The only room that imports confluent_kafka.

clients.py              settings → client configuration; errors → our tree
port.py                 what the loop needs of Kafka …
transactional_port.py   … kept by outputs and offsets in one transaction
reader_port.py          … kept by a stage that has its offsets elsewhere
publisher.py            an idempotent producer for commands and publishers
reader.py               a topic as an iterator of deliveries, for people and tests
admin.py                topics and offsets, made and checked
"""
