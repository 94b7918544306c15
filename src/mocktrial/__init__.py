"""mocktrial"""
