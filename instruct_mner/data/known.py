"""Published sets, told by the hash of their content: names mislead, copies of one set differ in their labels.

237 of the 3257 test posts of Twitter-2015 have other labels in the copies that are known as "repaired"; scored against
each other the two reach 95.9 F1. So results carry the name that the content has, not that of the folder; line ends,
byte order marks, formats and the order of posts make no difference. See :mod:`~instruct_mner.data.content`.
"""

from __future__ import annotations


def known_name(content: str | None, text: str | None = None) -> str | None:
    """Return name, version and split of a published set; ``None`` where it is not one of them.

    Args:
        content: ``Dataset.content_sha256``.
        text: ``Dataset.text_sha256``, by which sets are known that are read without their boxes, or with others.
    """
    return _KNOWN.get(content or "") or _KNOWN.get(text or "")


# "(text)" is a set with boxes that is read without them. "strict": converted with --decode strict, which
# leaves out what the tags of the published file do not open with B-. Hashes are those of the files of jefferyYu/UMT,
# thecharm/TMR (repaired), NUSTM/GMNER, NUSTM/FMNERG, Jyz99/CMNER.
_KNOWN: dict[str, str] = {
    "66e8939d8ea2dcf3d6020a6eb09d9755f9dcea4cebfc933c892c8516dc4042c6": "Twitter-2015 (original labels), train",
    "a22a966122e08697b706923feba93798b1d86e57f89f2eb5e4898850a52b229c": "Twitter-2015 (original labels), train, strict",
    "a81b385c7ea80e07f62d4b1639a3da4d7ce08413e2096411680eb8bb7caa8e66": "Twitter-2015 (original labels), dev",
    "2e2eb0ed9ec829bc3ecd9226c6991edf07ffcbde33041dbade32af52fe910024": "Twitter-2015 (original labels), dev, strict",
    "8065cc5bf4d0e9a66082342601b4f11310427ca20677e8c03d9e8395ffa85b2e": "Twitter-2015 (original labels), test",
    "5292f460658b2d4efcbd1601dc26cf2736d7ff07064fe43641e860828a58a9ff": "Twitter-2015 (original labels), test, strict",
    "b1dc9d2009a39a0940065f3a98db756aaabd18df2978199b9a3dd531d7b11e5b": "Twitter-2015 (repaired labels), train",
    "dc90f8a78037e0d0c786ab0d972ab0aaa649a6b492835d7dbde74196f4f5753c": "Twitter-2015 (repaired labels), train, strict",
    "6bb94cd6549fbf3d63b06fd637b951d25a8091a9b396c819248b7f2e465ec09c": "Twitter-2015 (repaired labels), dev",
    "4f56e617c9cdc078c89c4a351a7fcabb447b0d7d10ff97352a97af0cd6ee6752": "Twitter-2015 (repaired labels), dev, strict",
    "9f6ad0b199e5fa9117ac086490bd63d90a26f9faeb6fdb9983387909a53a95d9": "Twitter-2015 (repaired labels), test",
    "0f1128bf5adec8d6f0f18910dcc843b80933a8bf748099877183d38043786aec": "Twitter-2015 (repaired labels), test, strict",
    "7389a56c1e5cebc800a02b6bc53caee9c6c0ee8ea62e573fc2ee79d37d63ee04": "Twitter-2017, train",
    "acf5f886ea369fffc25bcde242a5d313d78d604fb04cfd10e9f13531ef6d0e40": "Twitter-2017, dev",
    "a9af848d5627f321ea065fdc32d1311f1b4b9b5adc59f0de8335f5fe52b7fea1": "Twitter-2017, test",
    "1589abf96441bc640010ee9be0696375c3ade71b7fd2b73bf8502ecb2f259304": "Twitter-GMNER v2.0, train",
    "83c5baa5c7098775ea299d1460d625a5b0d4fa75c70a72d90c9e0b05607709ce": "Twitter-GMNER v2.0 (text), train",
    "4727c9feca4d1890b7fd86bd4de9be45708ca9e7ec24003748f5109e3339d02c": "Twitter-GMNER v2.0, dev",
    "51ca5b4df1c0213c4fc97b13e02fb78950a957d366c81a70c0354302443d43d9": "Twitter-GMNER v2.0 (text), dev",
    "f4822e738f60cb1279d8a0da63ece4ef500353688b49048a229c6c54a761c9e1": "Twitter-GMNER v2.0, test",
    "838661a2970b9de9f8e5317902d376d5ef81c61cb8549f1e561a209fa3658694": "Twitter-GMNER v2.0 (text), test",
    "d9aff188be4c451b268fcb12c55515b1202443a55e57f68e53590b4647e03293": "FMNERG (coarse labels), train",
    "50ad8567cba8783f1192232eaaee69082d6aec8c824220fd66ff8341951e0b27": "FMNERG (coarse labels), dev",
    "85209ed2ca80633f7ae71dedd8954572ed807e3e3561b834ed4d7e21360df526": "FMNERG (coarse labels), test",
    "f309ed5d7ab845fddf8898c20863bd849c5455d5868ce8bcf94486ce846db760": "FMNERG (coarse labels, GMNER boxes), train",
    "986ae1da8470cdf631674f1f5cdabf9227e63ce92fed2e599cbbc0e6e51c3bf8": "FMNERG (coarse labels, GMNER boxes), dev",
    "77229290b6b61cb5d15c4fc48a28be17eae22095bd5d51cd62081aa0e573b2bb": "FMNERG (coarse labels, GMNER boxes), test",
    "481c026b6fdf66a6db50498785e0d83bb7133bc3454982fcbb6e4609f9f82972": "FMNERG (fine labels), train",
    "2c6ed659bad396674d70a6524839bdbb79dac0d607ab8adc51759ea1c930f510": "FMNERG (fine labels), dev",
    "83c099b8527b3e69800d0fa8e7881911c4f92fed065c5de682a65174ffe990b4": "FMNERG (fine labels), test",
    "c2906abf976cb623abe4f2349c35cbfe20dfb7cc4e9af687a73ff991ddd05f1e": "FMNERG (fine labels, GMNER boxes), train",
    "be77882514f79b0c32af9b25fdd785fa3951ff62407a40d6ae2db2369c935011": "FMNERG (fine labels, GMNER boxes), dev",
    "4c0b58b1f666f1a5f1f4a88bdf77c28cdb300e00df8ed06e721d01636f708fc1": "FMNERG (fine labels, GMNER boxes), test",
    "bc009a22e60f604a0dbbd57417254187617effd178c3b1bec3902f7bdcac7b53": "CMNER, train",
    "fa39939721a48946fc684c90651febe7b21077762a22b32be8764b944f8f1b28": "CMNER, dev",
    "889074769565c67365326d99bad055daecc1e6f1def17eed54681b88bb3f541d": "CMNER, test",
}
