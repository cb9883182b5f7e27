"""Script that ``advisor ui`` hands to Streamlit."""

from advisor.ui.frame import main

if __name__ == "__main__":
    main()
