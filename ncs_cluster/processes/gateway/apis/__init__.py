"""APIs of other inference servers, served beside the page; imported only where one is configured.

app          which APIs are served, and the routes of each
port         the port that has the APIs and not the page
asking       one request: its inference, while its client is there, and what an exception means
clients      figures of each client
bodies       bodies of requests, bounded each and together
multipart    the form of a request that carries a picture
deepstack    DeepStack and CodeProject.AI: routes
predictions  DeepStack and CodeProject.AI: what a request asks for, and the JSON of its answer
oip          Open Inference Protocol v2, REST: routes
inference    Open Inference Protocol v2: the graphs as models, and one inference
asked        Open Inference Protocol v2: what a request for an inference must be
tensors      Open Inference Protocol v2, REST: requests and responses with JSON and binary tensors
oip_grpc     Open Inference Protocol v2, gRPC: procedures
grpc_port    Open Inference Protocol v2, gRPC: the port, who is let in, and what an exception means
grpc_messages, grpc_tensors
             Open Inference Protocol v2, gRPC: messages; requests and responses
models       Open Inference Protocol v2: metadata, configuration and statistics of a graph
"""
