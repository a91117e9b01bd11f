"""The model: one implementation for training, inference and evaluation.

Tensors carry their shape as a suffix, one letter per axis:

    T packed tokens of all sequences   S sequences          L cached length     D hidden size     V vocabulary
    H heads                            G key/value heads    K query/key width   U value width     Z latent width
    R rotated width                    E routed experts     A active experts    M = T * A routed rows
    F expert (feed-forward) width      N tiles              P patches per tile  Q tile tokens     W vision width
    I image tokens                     C colour channels    Y, X pixels of a tile
    O blocks of the paged cache        B tokens of a block
    J cached numbers of a token        a digit stands for itself: S1 is S + 1 long, in SL1J an axis has length 1
"""
