"""``streamlit run app.py`` starts the dashboard; so does ``advisor ui``."""

from advisor.ui.frame import main

main()
