"""Published sets, told by the hash of their files: names mislead, copies of one set differ in their labels.

237 of the 3257 test posts of Twitter-2015 have other labels in the copies that are known as "repaired"; scored against
each other the two reach 95.9 F1. So results carry the name that the content has, not that of the folder.
"""

from __future__ import annotations


def known_name(sha256: str | None) -> str | None:
    """Name, version and split of a published file; ``None`` where it is not one of them."""
    return None if sha256 is None else _KNOWN.get(sha256)


# "(text)" is the file alone: read without its boxes, or with others. Hashes are `Dataset.sha256` and
# `Dataset.file_sha256` of the files of jefferyYu/UMT, thecharm/TMR (repaired), NUSTM/GMNER, NUSTM/FMNERG, Jyz99/CMNER.
_KNOWN = {
    "a6246e37aa1c8acd738747fa8257e01775f2a1cc0d4f36f82f9d41d6246ad6fa": "Twitter-2015 (original labels), train",
    "9dcc7f9df7331de3c9cdf67a3450e041c41c6254b5e43925c576e2dfaaabe2ad": "Twitter-2015 (original labels), dev",
    "edb2665b89bfe58bca06a2c10b9b31cbfa95456135b6a4cbf55c872e48d9b8f9": "Twitter-2015 (original labels), test",
    "66c1336f27fe854504623248942f0c1348baa39533167e636835bf04234b05d7": "Twitter-2015 (repaired labels), train",
    "51e003ec71c202d786f53968ed901841c3e23bcec9a381c06120432cba0d56d1": "Twitter-2015 (repaired labels), dev",
    "a4ef7f191a456021a7e2355dfd9f8e531a85bf62c275646c7d4c741563abab40": "Twitter-2015 (repaired labels), test",
    "801e149e8635b19d66b4ec1212c329be340ada501b35c5fa55455fb6f53633be": "Twitter-2017, train",
    "41b5db90cb32059c14c2c3ccd50845fb77f1e3d3e4f7d0c210a61bc507d8a73e": "Twitter-2017, dev",
    "a7d9e172ae85bd3e35276eb2b01ce223321bdc92a47b234e24305d72e7a05243": "Twitter-2017, test",
    "95c5ef52fb0bd5190697a4b4840daee3cbb0368bfbf39ed9ef5d4da505ba3113": "Twitter-GMNER v2.0, train",
    "72770413f5a80b75c6d8b59d985048bc8b26c489b7b8a09c4cc7ed2b97f3cc41": "Twitter-GMNER v2.0 (text), train",
    "17fa4649464bcfc155ad81669889470fea149ef510d889ef3f4a5e1969758c32": "Twitter-GMNER v2.0, dev",
    "07435237d7bfc1f2dd66f564fecab9637ff0bb9d08025d722859dbb2bd3f8532": "Twitter-GMNER v2.0 (text), dev",
    "b481621a7dd5dde94144c8fd66f34b363ad1e9ec30493d1cf1b18c782cde40dd": "Twitter-GMNER v2.0, test",
    "a178a5f6f422a43f8e8692d84cbde4eb590dec9b2a0da4aa67e3ecf3ac690f0a": "Twitter-GMNER v2.0 (text), test",
    "d2fa6dc95946a6b9d368ae0ba58ee11219962dc4aa9880e172f58194039e27ae": "FMNERG (coarse labels), train",
    "7e0e861364623f8dfa49a2ca1cbb80c84a0ecff71a1b1d7288471320d9421e44": "FMNERG (fine labels), train",
    "a7ccfb417b715e6f8c166bd2f7a6808bb88d862b74d7a74132417c9ff3eb6953": "FMNERG (coarse labels, GMNER boxes), train",
    "27a3de7df154bf40cea4cda1e68bafb934adb759408b11f67ccdcafb0d5b6d13": "FMNERG (fine labels, GMNER boxes), train",
    "b067446640d71ffad116e67c359f095f99c9d5ca2d0f2a1bc103909ebc8505e9": "FMNERG (text), train",
    "bfd5fe9da994b3caccff5b1c0c23bf12d9fbd4baad990b901d032ceb38c93fb4": "FMNERG (coarse labels), dev",
    "a3efd08209a220161d2969336d07fd480d11be3ed4cd7651da20b41b6e2a7741": "FMNERG (fine labels), dev",
    "eadcd160df10df1c7898ec1be24dca83f86d1cac0c12fda4ed6b0663157f527f": "FMNERG (coarse labels, GMNER boxes), dev",
    "81f8803c18188c4e21c4c40c21a741c0f53ce8af236d6d2ac33e1a1872edfaa8": "FMNERG (fine labels, GMNER boxes), dev",
    "3ff31ebca3c858926ec6c98694820fda39c0f9718645174c00069ee5bcffab69": "FMNERG (text), dev",
    "178fe024c87d1d5f38c0f6607e8b1401066c0bc776723219fe37686529f44aa5": "FMNERG (coarse labels), test",
    "3fd628feeb29ab6487ebbdcbd7d31b309deb28d948ef12734ca86ac436b6a0fe": "FMNERG (fine labels), test",
    "cbf3afbe6dba44054331c91dbf96538bcbb57ea6b744f0722537c00172bc0dbb": "FMNERG (coarse labels, GMNER boxes), test",
    "7528962a1ebbe0e78cbbfd1565e09615ba53d07ed6e028d5f0eb2a5877c1d748": "FMNERG (fine labels, GMNER boxes), test",
    "70e726cc49fa8f9003c29857294f9bb68fe017af4a63a95ad22f2d58c526277e": "FMNERG (text), test",
    "a382775c2969e891c82f0c85a7a63dca19f019d6d4324f3b70424d5f447d50d5": "CMNER, train",
    "7c93b6ceee8f33868fefbbd1d104dbef3afe795009148f25155272cbfbce6990": "CMNER, dev",
    "4fc1f132b5902d6e34fbb33a5637d04b45255a8003dbbe9306ca86bb1572c302": "CMNER, test",
}
