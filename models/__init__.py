"""Everything with a tensor.

Letters used in shapes:
    B  batch                    K  responses of one prompt        T  response tokens
    D  latent dimensions (32)   P  latent positions (4)           L  backbone layers
    H  hidden size              G  key/value heads                d  dimension of a head
    V  vocabulary               S  Monte-Carlo samples            N  pairs
"""
