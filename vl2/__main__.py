from vl2.cli import main

main()
