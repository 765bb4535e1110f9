import os
os.mkdir("inner")
os.chroot("inner")
